// What users see of their sessions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "session_store.hpp"

namespace sessions {

/// The content of a page: the user's sessions, the oldest first, and a button that ends all of
/// them. `current` is the token of the session that asks.
std::string session_list(std::string_view username, std::vector<SessionSummary> list,
                         const SessionToken& current);

}  // namespace sessions
