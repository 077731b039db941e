// The pages: small, complete HTML5 documents.
#pragma once

#include <string>
#include <string_view>

#include "http_message.hpp"

namespace sessions {

/// Makes text safe inside an HTML element or a quoted attribute.
std::string escape(std::string_view text);

/// A complete document with the given HTML in its body. The caller escapes what came from outside.
std::string page(std::string_view html);

/// The form that POSTs a `username` to the page it is on.
std::string login_form();

/// Sends the client to another page of this server with 302, as Flask's redirect() does.
Response redirect(std::string_view path);

/// A page that says that a request failed. `sentence` is plain text.
Response error_page(int status, std::string_view sentence);

}  // namespace sessions
