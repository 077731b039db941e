#include "pages.hpp"

#include <fmt/format.h>

namespace sessions {

std::string escape(std::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  for (const char character : text) {
    switch (character) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += character;
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
</head>
<body>
{}
</body>
</html>
)",
                     html);
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
