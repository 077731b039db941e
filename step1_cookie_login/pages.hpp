// The pages: small, complete HTML5 documents.
#pragma once

#include <string>
#include <string_view>

namespace sessions {

/// Makes text safe inside an HTML element or a quoted attribute.
std::string escape(std::string_view text);

/// A complete document with the given HTML in its body. The caller escapes what came from outside.
std::string page(std::string_view html);

/// The form that POSTs a `username` to the page it is on.
std::string login_form();

}  // namespace sessions
