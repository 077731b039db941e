#include "session_id.hpp"

#include <uuid/uuid.h>

#include <array>

namespace sessions {
namespace {

constexpr std::size_t kUuidCharacters = 36;

std::string to_text(const uuid_t& uuid) {
  std::array<char, kUuidCharacters + 1> text{};
  uuid_unparse_lower(uuid, text.data());
  return text.data();
}

}  // namespace

std::string new_session_id() {
  uuid_t uuid;
  uuid_generate_random(uuid);
  return to_text(uuid);
}

std::optional<std::string> valid_session_id(const std::optional<std::string>& cookie) {
  uuid_t uuid;
  if (!cookie || cookie->size() != kUuidCharacters || uuid_parse(cookie->c_str(), uuid) != 0 ||
      to_text(uuid) != *cookie) {
    return std::nullopt;
  }
  return cookie;
}

}  // namespace sessions
