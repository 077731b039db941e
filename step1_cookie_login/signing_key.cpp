#include "signing_key.hpp"

#include <openssl/core_names.h>
#include <openssl/crypto.h>

#include <array>
#include <jwt/base64.hpp>
#include <stdexcept>
#include <utility>

namespace sessions {
namespace {

const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

}  // namespace

std::string base64url(std::string_view bytes) {
  auto encoded = jwt::base64_encode(bytes.data(), bytes.size());
  encoded.resize(jwt::base64_uri_encode(encoded.data(), encoded.size()));
  return encoded;
}

SigningKey::SigningKey(std::string secret) : secret_{std::move(secret)} {
  const std::unique_ptr<EVP_MAC, decltype(&EVP_MAC_free)> hmac{
      EVP_MAC_fetch(nullptr, "HMAC", nullptr), EVP_MAC_free};
  std::string digest = "SHA256";
  const std::array parameters{
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), digest.size()),
      OSSL_PARAM_construct_end()};
  prepared_.reset(hmac ? EVP_MAC_CTX_new(hmac.get()) : nullptr);
  if (!prepared_ ||
      EVP_MAC_init(prepared_.get(), bytes_of(secret_), secret_.size(), parameters.data()) != 1) {
    throw std::runtime_error{"OpenSSL has no HMAC-SHA-256"};
  }
}

std::string SigningKey::hmac(std::string_view text) const {
  const Context context{EVP_MAC_CTX_dup(prepared_.get())};
  std::string digest(EVP_MAX_MD_SIZE, '\0');
  std::size_t size = 0;
  if (!context || EVP_MAC_update(context.get(), bytes_of(text), text.size()) != 1 ||
      EVP_MAC_final(context.get(), reinterpret_cast<unsigned char*>(digest.data()), &size,
                    digest.size()) != 1) {
    throw std::runtime_error{"OpenSSL cannot compute an HMAC"};
  }
  digest.resize(size);
  return digest;
}

bool SigningKey::has_signed(std::string_view text, std::string_view signature) const {
  const auto expected = base64url(hmac(text));
  return signature.size() == expected.size() &&
         CRYPTO_memcmp(signature.data(), expected.data(), expected.size()) == 0;
}

}  // namespace sessions
