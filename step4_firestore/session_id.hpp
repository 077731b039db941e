// The ids of step 4's sessions.
#pragma once

#include <uuid/uuid.h>

#include <array>
#include <optional>
#include <string>

namespace sessions {

/// In lower case.
inline std::string text_of(const uuid_t& uuid) {
  std::array<char, UUID_STR_LEN> text{};
  uuid_unparse_lower(uuid, text.data());
  return text.data();
}

/// A random UUID (RFC 9562, version 4) in lower case.
inline std::string new_session_id() {
  uuid_t uuid;
  uuid_generate_random(uuid);
  return text_of(uuid);
}

/// The id if it looks like one of ours, else nothing. What passes is safe inside a document's path.
inline std::optional<std::string> valid_session_id(const std::optional<std::string>& cookie) {
  uuid_t uuid;
  const bool is_ours = cookie && uuid_parse(cookie->c_str(), uuid) == 0 && text_of(uuid) == *cookie;
  return is_ours ? cookie : std::nullopt;
}

}  // namespace sessions
