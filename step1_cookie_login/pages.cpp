#include "pages.hpp"

#include <fmt/format.h>

#include <array>

namespace sessions {
namespace {

// For all pages of all steps, in light and dark as the visitor likes it. The policy in
// http_message.hpp allows it by its hash, so no other style can be smuggled into a page.
constexpr std::string_view kStyle =
    ":root{color-scheme:light dark}"
    "body{max-width:36rem;margin:3rem auto;padding:0 1rem;font:1.125rem/1.6 system-ui,sans-serif}"
    "h1{font-size:1.5rem}"
    "label{display:block}"
    "input{box-sizing:border-box;width:100%;padding:.5rem .75rem;"
    "border:1px solid #767676;border-radius:.4rem;font:inherit}"
    "[type=submit]{width:auto;border:0;background:#1a5fb4;color:#fff;cursor:pointer}";

}  // namespace

std::string escape(std::string_view text) {
  constexpr std::string_view kSpecial = "&<>\"'";
  constexpr std::array<std::string_view, 5> kReferences{"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
  std::string escaped;
  escaped.reserve(text.size());
  for (const char character : text) {
    const auto found = kSpecial.find(character);
    if (found == std::string_view::npos) {
      escaped += character;
    } else {
      escaped += kReferences.at(found);
    }
  }
  return escaped;
}

std::string page(std::string_view html) {
  return fmt::format(R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Sessions in C++</title>
<meta name="viewport" content="width=device-width">
<style>{}</style>
</head>
<body>
{}
</body>
</html>
)",
                     kStyle, html);
}

std::string login_form() {
  return R"(<form method="post">
<p><label>Name <input type="text" name="username" maxlength="256" required autofocus></label></p>
<p><input type="submit" value="Login"></p>
</form>
<p>There are no passwords here: whoever types a name is logged in as that person.</p>)";
}

Response redirect(std::string_view path) {
  Response response{302, page(fmt::format("<p><a href=\"{0}\">{0}</a></p>", escape(path)))};
  response.add_header("Location", path);
  return response;
}

Response error_page(int status, std::string_view sentence) {
  return {status, page(fmt::format("<h1>{} {}</h1>\n<p>{}</p>", status, reason_phrase(status),
                                   escape(sentence)))};
}

}  // namespace sessions
