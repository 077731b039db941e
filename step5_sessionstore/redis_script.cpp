#include "redis_script.hpp"

#include <fmt/format.h>
#include <openssl/sha.h>

#include <array>

namespace sessions {

RedisScript::RedisScript(std::string_view text) : text_{text} {
  std::array<unsigned char, SHA_DIGEST_LENGTH> digest{};
  SHA1(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  name_ = fmt::format("{:02x}", fmt::join(digest, ""));
}

}  // namespace sessions
