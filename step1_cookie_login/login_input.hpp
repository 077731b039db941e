// The login form's one field.
#pragma once

#include <string>

#include "http_message.hpp"

namespace sessions {

/// The `username` of a POSTed form (application/x-www-form-urlencoded), decoded: 1 to 256 bytes of
/// UTF-8 without control characters. Throws HttpError 400 that says what is wrong with it.
std::string submitted_username(const Request& request);

}  // namespace sessions
