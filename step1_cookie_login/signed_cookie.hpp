// A cookie that the client can read but cannot change: a signed JSON Web Token.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cookie.hpp"
#include "signing_key.hpp"

namespace sessions {

inline constexpr EnvironmentVariable kSecretKey{"SECRET_KEY", "",
                                                "required: signs the cookies, at least 32 bytes"};
inline constexpr EnvironmentVariable kSecretKeyFallbacks{
    "SECRET_KEY_FALLBACKS", "", "comma-separated old keys: they verify, they never sign"};

/// Keeps one value in a cookie as a JWT (RFC 7519) signed with HMAC-SHA-256. Signed, not encrypted:
/// anybody who holds the cookie can read the value. It is valid for 31 days, as Flask's sessions
/// are.
class SignedCookie {
 public:
  /// `claim` names the value inside the token and, as the token's audience, ties it to this use:
  /// a token that was signed for another claim is not accepted. Throws SettingError if a key is
  /// missing or shorter than 32 bytes (RFC 7518, section 3.2).
  SignedCookie(const Settings& settings, std::string_view name, std::string claim);

  /// The value, or nothing if there is no cookie or it does not verify, whatever the reason.
  std::optional<std::string> read(const Request& request) const;
  /// `value` must be UTF-8.
  void write(Response& response, const std::string& value) const;
  /// Tells the browser to forget the cookie. A copy of it remains valid until it expires.
  void remove(Response& response) const;

 private:
  Cookie cookie_;
  std::string claim_;
  std::string audience_;
  std::vector<SigningKey> keys_;  ///< the first one signs, all of them verify
};

}  // namespace sessions
