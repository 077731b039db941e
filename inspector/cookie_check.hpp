// What can be said about a cookie with the keys at hand.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "signing_key.hpp"

namespace sessions::inspector {

/// The server's keys. They are never shown.
class CookieKeys {
 public:
  /// `secret` may be empty; `fallbacks` are separated by commas.
  CookieKeys(std::string_view secret, std::string_view fallbacks);

  /// Whose signature a cookie bears: "current" is SECRET_KEY's, "old" that of one of
  /// SECRET_KEY_FALLBACKS, "wrong" of none of them. "unchecked" if there is no key, "none" if it is
  /// no JSON Web Token.
  std::string_view signature_of(std::string_view cookie) const;

 private:
  std::vector<SigningKey> keys_;  ///< the current one first
};

/// The texts by which a request may be told from another one: a cookie's value, and what its claims
/// say if it is a JSON Web Token.
std::vector<std::string> identities_in(const std::string& cookie);

/// True if `text` names `identity`: it contains it, not as a part of a longer word, or contains a
/// word of at least 16 characters that is a part of it, such as the secret of a token.
bool names(std::string_view text, std::string_view identity);

}  // namespace sessions::inspector
