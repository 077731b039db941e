// What tells one user's sessions from another's without naming the user.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "signing_key.hpp"

namespace sessions {

/// A user's tag is the HMAC of the name, cut to 64 bits: 11 digits of base64url. It is a part of
/// every token, so that a token alone says where its session and the list of the user's sessions
/// are; and without the key nobody learns from it whose they are.
class UserTags {
 public:
  /// The first key makes the tags of new sessions, all of them those of sessions there may be.
  explicit UserTags(std::vector<SigningKey> keys) : keys_{std::move(keys)} {}

  /// The tag of the sessions that begin now.
  std::string of(std::string_view username) const;
  /// The tags under which the user may have sessions, also from before the key was changed.
  std::vector<std::string> all_of(std::string_view username) const;

 private:
  std::vector<SigningKey> keys_;
};

}  // namespace sessions
