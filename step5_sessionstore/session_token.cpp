#include "session_token.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>

namespace sessions {
namespace {

constexpr std::size_t kSecretBytes = 16;
constexpr std::size_t kTagBytes = 8;
constexpr char kSeparator = '.';

bool is_digit(char digit) {
  return ('a' <= digit && digit <= 'z') || ('A' <= digit && digit <= 'Z') ||
         ('0' <= digit && digit <= '9') || digit == '-' || digit == '_';
}

}  // namespace

SessionToken SessionToken::random(std::string_view tag) {
  std::string secret(kSecretBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), kSecretBytes) != 1) {
    throw std::runtime_error{"OpenSSL has no random bytes"};
  }
  return parse(fmt::format("{}{}{}", tag, kSeparator, base64url(secret))).value();
}

std::optional<SessionToken> SessionToken::parse(std::string_view text) {
  SessionToken token;
  if (text.size() != token.text_.size() || text[kTagDigits] != kSeparator) {
    return std::nullopt;
  }
  std::ranges::copy(text, token.text_.begin());
  if (!std::ranges::all_of(token.tag(), is_digit) ||
      !std::ranges::all_of(token.secret(), is_digit)) {
    return std::nullopt;
  }
  return token;
}

std::string user_tag(const SigningKey& key, std::string_view username) {
  // A colon is in no text that the key signs for a cookie, so a tag is never a part of a signature.
  return base64url(key.hmac(fmt::format("user:{}", username)).substr(0, kTagBytes));
}

}  // namespace sessions
