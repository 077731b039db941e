// What the stores have in common about records.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "session_store.hpp"

namespace sessions {

/// The field that says whose session it is. Every record has it.
inline constexpr const char* kUsername = "username";

/// True if a field may have this name: a lowercase letter, then lowercase letters, digits and
/// underscores. So a store can keep facts of its own beside the fields, under names such as
/// `createdAt`.
bool is_field_name(std::string_view name);

/// Throws std::invalid_argument unless a field may have this name and is not the username.
void require_changeable(std::string_view name);

/// The sum, or nothing if the text is not a whole number as std::to_string() writes it, or if the
/// sum leaves 64 bits.
std::optional<std::int64_t> sum(std::string_view text, std::int64_t increment);

/// What a user gets to see of all live sessions.
SessionList listed(std::vector<SessionSummary> sessions);

/// Logs that a record was taken for no session. `problem` must not quote what is in it.
void log_corrupt_record(const SessionToken& token, std::string_view problem);

}  // namespace sessions
