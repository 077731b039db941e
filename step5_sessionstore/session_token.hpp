// The random name of a session, and the part of it that stands for the user.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "signing_key.hpp"

namespace sessions {

/// A user's tag and a secret of 128 random bits, both in base64url: `<tag>.<secret>`. Whoever knows
/// it is in. There is no other way to make one than at random or from a text of exactly that form,
/// so nothing else reaches a store.
class SessionToken {
 public:
  /// A token that nobody can guess (OpenSSL's RAND_bytes). `tag` is a user_tag(). Throws
  /// std::runtime_error if the system has no random bytes to give.
  static SessionToken random(std::string_view tag);
  /// The token that was written as `text`, or nothing if that is not the form of a token.
  static std::optional<SessionToken> parse(std::string_view text);

  std::string_view text() const { return {text_.data(), text_.size()}; }
  std::string_view tag() const { return text().substr(0, kTagDigits); }
  std::string_view secret() const { return text().substr(kTagDigits + 1); }
  /// Enough to find a record by, and not enough to take over the session: for log lines.
  std::string abbreviated() const {
    return std::string{text().substr(0, kTagDigits + 1 + 4)} + "...";
  }

  bool operator==(const SessionToken&) const = default;

 private:
  static constexpr std::size_t kTagDigits = 11;
  static constexpr std::size_t kSecretDigits = 22;

  SessionToken() = default;

  std::array<char, kTagDigits + 1 + kSecretDigits> text_{};
};

/// A user's tag is the HMAC of the name, cut to 64 bits: 11 digits of base64url. It is a part of
/// every token, so that a token alone says where its session and the list of the user's sessions
/// are; and without the key nobody learns from it whose they are. The first of a store's keys makes
/// the tags of new sessions, the others those of sessions from before the key was changed.
std::string user_tag(const SigningKey& key, std::string_view username);

}  // namespace sessions
