#include "session_id.hpp"

#include <uuid/uuid.h>

#include <array>

namespace sessions {
namespace {

std::string to_text(const uuid_t& uuid) {
  std::array<char, UUID_STR_LEN> text{};
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
  const bool is_uuid = cookie && uuid_parse(cookie->c_str(), uuid) == 0 && to_text(uuid) == *cookie;
  return is_uuid ? cookie : std::nullopt;
}

}  // namespace sessions
