// Sessions in Firestore.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "firestore_client.hpp"
#include "session_store.hpp"
#include "user_tags.hpp"

namespace sessions {

/// A session is the document `sessions/<token>`, its fields are the document's fields. Beside them
/// are the timestamps `createdAt`, `seenAt` and `expireAt`; the last is meant for a TTL policy,
/// which can be a day late, so it is checked with every access.
///
/// Each access is an optimistic transaction: one call reads, one commits. A login counts the user's
/// sessions, which Firestore bills as reading them. The time is
/// this server's, so the clocks of several servers have to agree, as NTP makes them.
class FirestoreSessionStore : public SessionStore {
 public:
  /// Throws SettingError if the settings lead to no database.
  FirestoreSessionStore(EventLoop& event_loop, const Settings& settings, UserTags tags,
                        SessionLimits limits)
      : firestore_{event_loop, settings}, tags_{std::move(tags)}, limits_{limits} {}
  FirestoreSessionStore(EventLoop& event_loop, const FirestoreDatabase& database, UserTags tags,
                        SessionLimits limits)
      : firestore_{event_loop, database}, tags_{std::move(tags)}, limits_{limits} {}

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<std::optional<SessionFields>> read(SessionToken token) override;
  asio::awaitable<std::optional<SessionFields>> set(SessionToken token, std::string field,
                                                    std::string value) override;
  asio::awaitable<std::optional<SessionFields>> increment(SessionToken token, std::string field,
                                                          std::int64_t by) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<SessionList> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  /// Deletes 500 of what has expired, for a database without a TTL policy.
  asio::awaitable<bool> purge() override;
  asio::awaitable<void> ping() override;

 private:
  template <typename Change>
  asio::awaitable<std::optional<SessionFields>> access(SessionToken token, Change change);

  FirestoreClient firestore_;
  const UserTags tags_;
  const SessionLimits limits_;
};

}  // namespace sessions
