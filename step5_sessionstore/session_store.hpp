// What keeps the sessions, whatever it keeps them in.
#pragma once

#include <asio/awaitable.hpp>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "session_token.hpp"

namespace sessions {

/// The fields of a session by name.
using SessionFields = std::map<std::string, std::string, std::less<>>;

/// The field that says whose session it is. Every record has it.
inline constexpr const char* kUsername = "username";

/// How long a session lives, until one of the two is over, and how many a user may have.
struct SessionLimits {
  std::chrono::milliseconds idle;      ///< since the last access
  std::chrono::milliseconds absolute;  ///< since it was created, however active it is
  std::int64_t per_user = 1000;
};

/// One of a user's live sessions.
struct SessionSummary {
  SessionToken token;
  std::chrono::system_clock::time_point created;
  std::chrono::system_clock::time_point last_seen;
};

/// A user's live sessions.
struct SessionList {
  static constexpr std::size_t kMaxNewest = 100;

  std::size_t count = 0;               ///< how many there are
  std::vector<SessionSummary> newest;  ///< at most kMaxNewest, those that were used last
};

//! [session store]
/// Sets a field to a text, or adds a number to it: to 0 if there is no such field.
struct SessionChange {
  /// Throws std::invalid_argument unless the name is lower_snake_case and not `username`.
  SessionChange(std::string name, std::variant<std::string, std::int64_t> text_or_number);

  std::string field;
  std::variant<std::string, std::int64_t> value;
};

/// Sessions by token. Every implementation keeps these rules:
///
/// - Reading, setting and incrementing renew the idle timeout, in the same atomic step.
/// - They answer with all fields as they are afterwards, or with nothing if there is no such
///   session: none is brought back once it has expired or was destroyed, not even by a request that
///   was under way.
/// - A record that makes no sense, or a value that cannot be incremented, is logged and is no
///   session. It is not touched.
/// - A store that fails, or refuses to write, is not a session that is missing: it throws
///   ServiceUnavailable.
/// - Whose session it is never changes, for a login makes a new token.
///
/// A field's name is as in SessionChange, its value is UTF-8. Operations may be called on any
/// thread, and continue on the one that completes them.
class SessionStore {
 public:
  SessionStore() = default;
  virtual ~SessionStore() = default;
  SessionStore(const SessionStore&) = delete;
  SessionStore& operator=(const SessionStore&) = delete;

  /// Starts a session of this user under a new random token. If the user has as many as is allowed,
  /// it takes the place of the one that would expire first.
  virtual asio::awaitable<SessionToken> create(std::string username) = 0;
  asio::awaitable<std::optional<SessionFields>> read(SessionToken token) {
    return access(token, std::nullopt);
  }
  asio::awaitable<std::optional<SessionFields>> set(SessionToken token, std::string field,
                                                    std::string value) {
    return access(token, SessionChange{std::move(field), std::move(value)});
  }
  asio::awaitable<std::optional<SessionFields>> increment(SessionToken token, std::string field,
                                                          std::int64_t by) {
    return access(token, SessionChange{std::move(field), by});
  }
  /// Ends a session, if there is one.
  virtual asio::awaitable<void> destroy(SessionToken token) = 0;

  virtual asio::awaitable<SessionList> list(std::string username) = 0;
  /// Ends all sessions of the user.
  virtual asio::awaitable<void> destroy_all(std::string username) = 0;

  /// Removes what has expired and is still there, or a part of it, in a store that does not do so
  /// by itself. True if there may be more.
  virtual asio::awaitable<bool> purge() { co_return false; }
  /// Tests the connection, if there is one.
  virtual asio::awaitable<void> ping() { co_return; }

 private:
  /// Makes the change, if there is one, and does all else that the rules say of an access.
  virtual asio::awaitable<std::optional<SessionFields>> access(
      SessionToken token, std::optional<SessionChange> change) = 0;
};
//! [session store]

/// True if a field may have this name: a lowercase letter, then lowercase letters, digits and
/// underscores. So a store can keep facts of its own beside the fields, under names such as
/// `createdAt`.
bool is_field_name(std::string_view name);

/// Makes the change, if there is one. False, and a line in the log, if the field is no number to
/// which another can be added.
bool apply(const std::optional<SessionChange>& change, SessionFields& fields,
           const SessionToken& token);

/// What a user gets to see of all live sessions.
SessionList listed(std::vector<SessionSummary> sessions);

/// Logs that a record was taken for no session. `problem` must not quote what is in it.
void log_corrupt_record(const SessionToken& token, std::string_view problem);

}  // namespace sessions
