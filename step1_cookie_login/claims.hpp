// What a token says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace sessions {

/// The claims of one of our tokens (RFC 7519, section 4).
struct Claims {
  std::string audience;
  std::uint64_t issued = 0;   ///< seconds since 1970
  std::uint64_t expires = 0;  ///< seconds since 1970
  std::string value;
};

/// Reads the second part of a token. `claim` is the name of the value. Nothing if one of the four
/// is missing or of another type, or if there is more than texts and whole numbers in it.
std::optional<Claims> parse_claims(std::string_view base64url, std::string_view claim);

}  // namespace sessions
