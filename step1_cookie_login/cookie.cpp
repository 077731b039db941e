#include "cookie.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>

#include "errors.hpp"

namespace sessions {
namespace {

bool is_cookie_octet(char character) {
  return character > 0x20 && character < 0x7f &&
         std::string_view{"\",;\\"}.find(character) == std::string_view::npos;
}

bool secure_cookies(const Settings& settings) {
  const auto& value = settings[kCookieSecure];
  if (!value.empty() && value != "0" && value != "1") {
    throw SettingError{kCookieSecure.name, "must be 1, 0 or unset"};
  }
  return value == "1";
}

}  // namespace

Cookie::Cookie(const Settings& settings, std::string_view name)
    : name_{name}, attributes_{"; Path=/; HttpOnly; SameSite=Lax"} {
  if (secure_cookies(settings)) {
    name_ = "__Host-" + name_;
    attributes_ += "; Secure";
  }
}

std::optional<std::string> Cookie::read(const Request& request) const {
  return request.cookie(name_);
}

void Cookie::write(Response& response, std::string_view value) const {
  if (!std::ranges::all_of(value, is_cookie_octet)) {
    throw std::invalid_argument{"a cookie's value must consist of cookie-octets"};
  }
  response.add_header("Set-Cookie", fmt::format("{}={}{}", name_, value, attributes_));
}

void Cookie::remove(Response& response) const {
  response.add_header(
      "Set-Cookie",
      fmt::format("{}={}; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT", name_, attributes_));
}

}  // namespace sessions
