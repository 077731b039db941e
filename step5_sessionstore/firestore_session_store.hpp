// Sessions in Firestore.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "firestore_client.hpp"
#include "session_store.hpp"

namespace sessions {

/// A session is the document `sessions/<token>`, its fields are the document's fields. Beside them
/// are the timestamps `createdAt`, `seenAt` and `expireAt`; the last is meant for a TTL policy,
/// which can be a day late, so it is checked with every access.
///
/// Each access is an optimistic transaction: one call reads, one commits. A login counts the user's
/// sessions, which Firestore bills as reading them. The time is this server's, so the clocks of
/// several servers have to agree, as NTP makes them.
class FirestoreSessionStore : public SessionStore {
 public:
  /// Throws SettingError if the settings lead to no database.
  FirestoreSessionStore(EventLoop& event_loop, const Settings& settings,
                        std::vector<SigningKey> keys, SessionLimits limits)
      : firestore_{event_loop, settings}, keys_{std::move(keys)}, limits_{limits} {}
  FirestoreSessionStore(EventLoop& event_loop, const FirestoreDatabase& database,
                        std::vector<SigningKey> keys, SessionLimits limits)
      : firestore_{event_loop, database}, keys_{std::move(keys)}, limits_{limits} {}

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<SessionList> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  /// Deletes 500 of what has expired, for a database without a TTL policy.
  asio::awaitable<bool> purge() override;
  asio::awaitable<void> ping() override;

 private:
  asio::awaitable<std::optional<SessionFields>> access(
      SessionToken token, std::optional<SessionChange> change) override;

  FirestoreClient firestore_;
  const std::vector<SigningKey> keys_;
  const SessionLimits limits_;
};

}  // namespace sessions
