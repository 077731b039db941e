#include "session_token.hpp"

#include <fmt/format.h>
#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>

#include "signing_key.hpp"

namespace sessions {
namespace {

constexpr std::size_t kBytes = 16;
constexpr char kSeparator = '.';

bool is_digit(char digit) {
  return ('a' <= digit && digit <= 'z') || ('A' <= digit && digit <= 'Z') ||
         ('0' <= digit && digit <= '9') || digit == '-' || digit == '_';
}

}  // namespace

SessionToken SessionToken::random(std::string_view tag) {
  std::string secret(kBytes, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(secret.data()), kBytes) != 1) {
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

std::string SessionToken::abbreviated() const {
  constexpr std::size_t kShown = 4;
  return fmt::format("{}...", text().substr(0, kTagDigits + 1 + kShown));
}

}  // namespace sessions
