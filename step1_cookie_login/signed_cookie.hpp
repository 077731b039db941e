// A cookie that the client can read but cannot change: a signed JSON Web Token.
#pragma once

#include <chrono>
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

/// How long a signed cookie is valid, as long as Flask's sessions are.
inline constexpr std::chrono::seconds kTokenLifetime = std::chrono::days{31};

/// The key that signs, and after it the old ones. Throws SettingError if a key is missing,
/// shorter than 32 bytes (RFC 7518, section 3.2), or begins or ends with a blank.
std::vector<SigningKey> signing_keys(const Settings& settings);

/// Keeps one value in a cookie as a JWT (RFC 7519) signed with HMAC-SHA-256. Signed, not encrypted:
/// anybody who holds the cookie can read the value. It is valid for kTokenLifetime.
class SignedCookie {
 public:
  /// `claim` names the value inside the token and, as the token's audience, ties it to this use:
  /// a token that was signed for another claim is not accepted. Throws as signing_keys() does.
  SignedCookie(const Settings& settings, std::string_view name, std::string claim);

  /// The value, or nothing if there is no cookie or it does not verify, whatever the reason. A
  /// token whose header is not byte for byte that of ours does not, though another JWT library may
  /// have written it with our key: with one algorithm there is nothing to read in a header.
  std::optional<std::string> read(const Request& request) const;
  /// `value` must be UTF-8.
  void write(Response& response, const std::string& value) const;
  /// Tells the browser to forget the cookie. A copy of it remains valid until it expires.
  void remove(Response& response) const;

 private:
  /// The second part of a token whose first is ours and whose third is the signature of both.
  std::optional<std::string_view> verified_claims(std::string_view token) const;

  Cookie cookie_;
  std::string claim_;
  std::string audience_;
  std::string header_;            ///< all tokens begin with it
  std::vector<SigningKey> keys_;  ///< the first one signs, all of them verify
};

}  // namespace sessions
