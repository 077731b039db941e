#include "user_tags.hpp"

#include <algorithm>
#include <iterator>

namespace sessions {
namespace {

constexpr std::size_t kBytes = 8;

// A colon is in no text that the key signs for a cookie, so a tag is never a part of a signature.
std::string tag(const SigningKey& key, std::string_view username) {
  return base64url(key.hmac("user:" + std::string{username}).substr(0, kBytes));
}

}  // namespace

std::string UserTags::of(std::string_view username) const { return tag(keys_.front(), username); }

std::vector<std::string> UserTags::all_of(std::string_view username) const {
  std::vector<std::string> tags;
  std::ranges::transform(keys_, std::back_inserter(tags),
                         [&](const auto& key) { return tag(key, username); });
  return tags;
}

}  // namespace sessions
