// A secret key for signatures by HMAC-SHA-256.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>
#include <string_view>

namespace sessions {

/// Any bytes as text for cookies, URLs and names (RFC 4648, section 5), without padding.
std::string base64url(std::string_view bytes);

/// OpenSSL looks up the algorithm and prepares the key once; each signature starts from a copy of
/// that. May be used on any thread.
class SigningKey {
 public:
  /// Throws std::runtime_error if OpenSSL has no HMAC-SHA-256.
  explicit SigningKey(std::string secret);

  const std::string& secret() const { return secret_; }
  /// The text's HMAC: 32 bytes that nobody can compute, or relate to the text, without the key.
  std::string hmac(std::string_view text) const;
  /// True if the signature, in base64url, is this key's. The time that this takes does not depend
  /// on where the signature is wrong.
  bool has_signed(std::string_view text, std::string_view signature) const;

 private:
  struct Free {
    void operator()(EVP_MAC_CTX* context) const { EVP_MAC_CTX_free(context); }
  };
  using Context = std::unique_ptr<EVP_MAC_CTX, Free>;

  std::string secret_;
  Context prepared_;
};

}  // namespace sessions
