// A visitor's session, as a handler sees it: a dictionary.
#pragma once

#include <asio/awaitable.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "session_store.hpp"

namespace sessions {

/// The session that a request belongs to: `co_await session.increment("visits")`. Without a token
/// it is nobody's: it holds nothing, and asks the store for nothing. All operations throw what the
/// store throws.
class Session {
 public:
  Session(SessionStore& store, std::optional<SessionToken> token) : store_{store}, token_{token} {}

  const std::optional<SessionToken>& token() const { return token_; }

  /// A field's value, or nothing if there is no such field or the session is over.
  asio::awaitable<std::optional<std::string>> get(std::string field);
  /// False if the session is over. The username cannot be set, but by log_in().
  asio::awaitable<bool> set(std::string field, std::string value);
  /// The new value, or nothing if the session is over.
  asio::awaitable<std::optional<std::int64_t>> increment(std::string field, std::int64_t by = 1);
  /// A field as the last of the operations above found or left it, without asking again; empty if
  /// there was none.
  std::string operator[](std::string_view field) const;

  /// Login: starts a new session under a new token and destroys the old one, so that a token which
  /// somebody knew before the login is worth nothing after it (session fixation).
  asio::awaitable<void> log_in(std::string username);
  /// Logout: destroys the session, so that no copy of its token is worth anything.
  asio::awaitable<void> log_out();

 private:
  SessionStore& store_;
  std::optional<SessionToken> token_;
  SessionFields fields_;
};

}  // namespace sessions
