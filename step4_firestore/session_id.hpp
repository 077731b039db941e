// The ids of step 4's sessions.
#pragma once

#include <optional>
#include <string>

namespace sessions {

/// A random UUID (RFC 9562, version 4) in lower case.
std::string new_session_id();

/// The id if it looks like one of ours, else nothing. What passes is safe inside a document's path.
std::optional<std::string> valid_session_id(const std::optional<std::string>& cookie);

}  // namespace sessions
