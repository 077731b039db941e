// The random name of a session: whoever knows it is in.
#pragma once

#include <array>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace sessions {

/// 128 random bits, written as 32 lowercase hexadecimal digits. There is no other way to make one
/// than at random or from a text of exactly that form, so nothing else reaches a store.
class SessionToken {
 public:
  /// A token that nobody can guess (OpenSSL's RAND_bytes). Throws std::runtime_error if the system
  /// has no random bytes to give.
  static SessionToken random();
  /// The token that was written as `text`, or nothing if that is not the form of a token.
  static std::optional<SessionToken> parse(std::string_view text);

  std::string_view text() const { return {digits_.data(), digits_.size()}; }
  /// Enough to find a record by, and not enough to take over the session: for log lines.
  std::string abbreviated() const;

  bool operator==(const SessionToken&) const = default;

 private:
  static constexpr std::size_t kBytes = 16;

  SessionToken() = default;

  std::array<char, 2 * kBytes> digits_{};
};

}  // namespace sessions

template <>
struct std::hash<sessions::SessionToken> {
  std::size_t operator()(const sessions::SessionToken& token) const noexcept {
    return std::hash<std::string_view>{}(token.text());
  }
};
