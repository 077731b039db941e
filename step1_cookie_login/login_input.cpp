#include "login_input.hpp"

#include <curl/curl.h>
#include <fmt/format.h>
#include <utf8proc.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <ranges>
#include <string_view>

#include "errors.hpp"

namespace sessions {
namespace {

constexpr std::size_t kMaxUsernameBytes = 256;
constexpr std::string_view kFormType = "application/x-www-form-urlencoded";

std::string decoded(std::string_view encoded) {
  std::string spaced{encoded};
  std::ranges::replace(spaced, '+', ' ');
  int size = 0;
  const std::unique_ptr<char, decltype(&curl_free)> bytes{
      curl_easy_unescape(nullptr, spaced.data(), static_cast<int>(spaced.size()), &size),
      curl_free};
  return bytes ? std::string{bytes.get(), static_cast<std::size_t>(size)} : std::string{};
}

std::optional<std::string> form_field(std::string_view form, std::string_view name) {
  for (const auto part : std::views::split(form, '&')) {
    const std::string_view field{part.begin(), part.end()};
    const auto equals = std::min(field.find('='), field.size());
    if (decoded(field.substr(0, equals)) == name) {
      return decoded(field.substr(std::min(equals + 1, field.size())));
    }
  }
  return std::nullopt;
}

bool is_form(const Request& request) {
  // Media types are compared without regard to case (RFC 9110, section 8.3.1).
  const auto type = request.header("Content-Type").value_or("");
  return equals_without_case(type.substr(0, type.find_first_of("; \t")), kFormType);
}

/// What a character is that no name may contain, or nothing. Unassigned code points are let
/// through: a newer Unicode may have made letters of them.
std::string_view objection_to(utf8proc_int32_t code_point) {
  if ((code_point & 0xfffe) == 0xfffe || (code_point >= 0xfdd0 && code_point <= 0xfdef)) {
    return "a noncharacter";  // The Unicode Standard, section 23.7
  }
  switch (utf8proc_category(code_point)) {
    case UTF8PROC_CATEGORY_CC:
      return "a control character";
    case UTF8PROC_CATEGORY_CF:  // changes the direction of writing, say, or has no width
      return "an invisible formatting character";
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return "a line separator";
    default:
      return {};
  }
}

bool is_blank(utf8proc_int32_t code_point) {
  return utf8proc_category(code_point) == UTF8PROC_CATEGORY_ZS ||
         utf8proc_get_property(code_point)->ignorable;
}

void require_readable(std::string_view name) {
  bool all_blank = true;
  while (!name.empty()) {
    utf8proc_int32_t code_point = 0;
    const auto size = utf8proc_iterate(reinterpret_cast<const utf8proc_uint8_t*>(name.data()),
                                       static_cast<utf8proc_ssize_t>(name.size()), &code_point);
    if (size < 0) {
      throw HttpError{400, "The user name is not valid UTF-8."};
    }
    if (const auto objection = objection_to(code_point); !objection.empty()) {
      throw HttpError{400,
                      fmt::format("The user name contains U+{:04X}, {}.", code_point, objection)};
    }
    all_blank = all_blank && is_blank(code_point);
    name.remove_prefix(static_cast<std::size_t>(size));
  }
  if (all_blank) {
    throw HttpError{400, "The user name consists of spaces only."};
  }
}

}  // namespace

std::string submitted_username(const Request& request) {
  auto username = is_form(request) ? form_field(request.body(), "username") : std::nullopt;
  if (!username) {
    throw HttpError{400, "The field username is missing from the form."};
  }
  if (username->empty()) {
    throw HttpError{400, "The user name is empty."};
  }
  if (username->size() > kMaxUsernameBytes) {
    throw HttpError{400, "The user name is longer than 256 bytes."};
  }
  require_readable(*username);
  return *std::move(username);
}

}  // namespace sessions
