#include "login_input.hpp"

#include <curl/curl.h>
#include <utf8.h>

#include <algorithm>
#include <memory>
#include <optional>
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
  while (!form.empty()) {
    const auto end = std::min(form.find('&'), form.size());
    const auto field = form.substr(0, end);
    form.remove_prefix(std::min(end + 1, form.size()));
    const auto equals = std::min(field.find('='), field.size());
    if (decoded(field.substr(0, equals)) == name) {
      return decoded(field.substr(std::min(equals + 1, field.size())));
    }
  }
  return std::nullopt;
}

bool is_form(const Request& request) {
  // Media types are compared without regard to case (RFC 9110, section 8.3.1).
  const auto type = lower_case(request.header("Content-Type").value_or(""));
  return type.substr(0, type.find_first_of("; \t")) == kFormType;
}

bool has_control_character(std::string_view text) {
  for (auto position = text.begin(); position != text.end();) {
    const auto code_point = utf8::next(position, text.end());
    if (code_point < 0x20 || (code_point >= 0x7f && code_point < 0xa0)) {
      return true;
    }
  }
  return false;
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
  if (!utf8::is_valid(username->begin(), username->end())) {
    throw HttpError{400, "The user name is not valid UTF-8."};
  }
  if (has_control_character(*username)) {
    throw HttpError{400, "The user name contains control characters."};
  }
  return *std::move(username);
}

}  // namespace sessions
