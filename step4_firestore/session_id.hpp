// The ids of step 4's sessions, and what makes a stored session usable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "firestore_document.hpp"

namespace sessions {

/// A random UUID (RFC 9562, version 4) in lower case.
std::string new_session_id();

/// The id if it looks like one of ours, else nothing. What passes is safe inside a document's path.
std::optional<std::string> valid_session_id(const std::optional<std::string>& cookie);

/// True if `expireAt` has passed. Firestore deletes expired documents up to a day late, the
/// emulator never.
bool has_expired(const FirestoreDocument& session);

/// The views counted so far; 0 if the field is not a number that can be counted on.
std::int64_t counted_views(const FirestoreDocument& session);

}  // namespace sessions
