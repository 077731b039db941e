// A cookie and the attributes that every cookie of this suite has.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "http_message.hpp"
#include "settings.hpp"

namespace sessions {

inline constexpr EnvironmentVariable kCookieSecure{
    "COOKIE_SECURE", "", "1: cookies travel over HTTPS only and are named __Host-..."};

/// One cookie by name: `Path=/; HttpOnly; SameSite=Lax`, sent until the browser closes. With
/// COOKIE_SECURE=1 it is also `Secure` and bears the prefix `__Host-`, which keeps other hosts of
/// the same domain from setting it (draft-ietf-httpbis-rfc6265bis, section 4.1.3).
class Cookie {
 public:
  /// Throws SettingError if COOKIE_SECURE is neither unset, 0 nor 1.
  Cookie(const Settings& settings, std::string_view name);

  std::optional<std::string> read(const Request& request) const;
  /// `value` must consist of cookie-octets (RFC 6265, section 4.1.1), else std::invalid_argument.
  void write(Response& response, std::string_view value) const;
  /// Tells the browser to forget the cookie.
  void remove(Response& response) const;

 private:
  std::string name_;
  std::string attributes_;
};

}  // namespace sessions
