// Sessions in Firestore.
#pragma once

#include <string>
#include <vector>

#include "firestore_client.hpp"
#include "session_store.hpp"

namespace sessions {

/// A session is the document `sessions/<token>`, its fields are the document's fields. Beside them
/// are the timestamps `createdAt`, `seenAt` and `expireAt`; the last is meant for a TTL policy,
/// which can be a day late, so it is checked with every access.
///
/// Each access is an optimistic transaction: one call reads, one commits. The time is
/// this server's, so the clocks of several servers have to agree, as NTP makes them.
class FirestoreSessionStore : public SessionStore {
 public:
  /// Throws SettingError if the settings lead to no database.
  FirestoreSessionStore(EventLoop& event_loop, const Settings& settings, SessionLifetime lifetime)
      : firestore_{event_loop, settings}, lifetime_{lifetime} {}
  FirestoreSessionStore(EventLoop& event_loop, FirestoreDatabase database, SessionLifetime lifetime)
      : firestore_{event_loop, std::move(database)}, lifetime_{lifetime} {}

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<Access> read(SessionToken token) override;
  asio::awaitable<Access> set(SessionToken token, std::string field, std::string value) override;
  asio::awaitable<Access> increment(SessionToken token, std::string field,
                                    std::int64_t by) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<std::vector<SessionSummary>> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  /// Deletes 500 of what has expired, for a database without a TTL policy.
  asio::awaitable<bool> purge() override;
  asio::awaitable<void> ping() override;

 private:
  template <typename Change>
  asio::awaitable<Access> access(SessionToken token, Change change);

  FirestoreClient firestore_;
  const SessionLifetime lifetime_;
};

}  // namespace sessions
