// The login form's one field.
#pragma once

#include <string>

#include "http_message.hpp"

namespace sessions {

/// The `username` of a POSTed form (application/x-www-form-urlencoded), decoded: 1 to 256 bytes of
/// UTF-8 that can be seen: not only spaces, no control characters, no invisible formatting
/// characters (Unicode's category Cf), with which one name can be made to look like another, no
/// line separators, no noncharacters. Throws HttpError 400 that says what is wrong with it.
std::string submitted_username(const Request& request);

}  // namespace sessions
