#include "session_id.hpp"

#include <uuid/uuid.h>

#include <array>
#include <regex>

namespace sessions {

std::string new_session_id() {
  uuid_t uuid;
  uuid_generate_random(uuid);
  std::array<char, UUID_STR_LEN> text{};
  uuid_unparse_lower(uuid, text.data());
  return text.data();
}

std::optional<std::string> valid_session_id(const std::optional<std::string>& cookie) {
  static const std::regex uuid{"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"};
  return cookie && std::regex_match(*cookie, uuid) ? cookie : std::nullopt;
}

}  // namespace sessions
