// What users see of their sessions.
#pragma once

#include <string>
#include <string_view>

#include "session_store.hpp"

namespace sessions {

/// The content of a page: how many sessions the user has, the newest of them, and a button that
/// ends all. `current` is the token of the session that asks.
std::string session_list(std::string_view username, SessionList list, const SessionToken& current);

}  // namespace sessions
