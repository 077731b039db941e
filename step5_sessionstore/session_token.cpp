#include "session_token.hpp"

#include <openssl/rand.h>

#include <algorithm>
#include <stdexcept>

namespace sessions {
namespace {

constexpr std::string_view kHexadecimalDigits = "0123456789abcdef";

}  // namespace

SessionToken SessionToken::random() {
  std::array<unsigned char, kBytes> bytes{};
  if (RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) != 1) {
    throw std::runtime_error{"OpenSSL has no random bytes"};
  }
  SessionToken token;
  auto digit = token.digits_.begin();
  for (const auto byte : bytes) {
    *digit++ = kHexadecimalDigits[byte >> 4U];
    *digit++ = kHexadecimalDigits[byte & 0xfU];
  }
  return token;
}

std::optional<SessionToken> SessionToken::parse(std::string_view text) {
  SessionToken token;
  if (text.size() != token.digits_.size() ||
      text.find_first_not_of(kHexadecimalDigits) != std::string_view::npos) {
    return std::nullopt;
  }
  std::ranges::copy(text, token.digits_.begin());
  return token;
}

std::string SessionToken::abbreviated() const { return std::string{text().substr(0, 6)} + "..."; }

}  // namespace sessions
