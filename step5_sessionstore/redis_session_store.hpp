// Sessions in Redis.
#pragma once

#include <string>
#include <vector>

#include "redis_client.hpp"
#include "redis_script.hpp"
#include "session_store.hpp"

namespace sessions {

/// A session is the hash `session:<token>`, its fields are the hash's fields, and Redis deletes it
/// when it expires. The sorted set `sessions-of:<username>` holds the tokens of the user's sessions
/// by the time they were last seen.
///
/// Each operation is one round trip: a script that Redis runs as one unit, with Redis' own clock,
/// so that it does not matter what time the servers believe it is. The scripts compute names of
/// keys, which Redis allows on one server but not in a cluster.
class RedisSessionStore : public SessionStore {
 public:
  RedisSessionStore(EventLoop& event_loop, RedisUrl url, SessionLifetime lifetime);

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<Access> read(SessionToken token) override;
  asio::awaitable<Access> set(SessionToken token, std::string field, std::string value) override;
  asio::awaitable<Access> increment(SessionToken token, std::string field,
                                    std::int64_t by) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<std::vector<SessionSummary>> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  /// Does nothing: Redis removes expired keys itself.
  asio::awaitable<bool> purge() override;
  asio::awaitable<void> ping() override;

 private:
  template <typename... Change>
  asio::awaitable<Access> access(SessionToken token, Change... change);

  RedisClient redis_;
  const SessionLifetime lifetime_;
  const RedisScript create_;
  const RedisScript access_;
  const RedisScript destroy_;
  const RedisScript list_;
  const RedisScript destroy_all_;
};

}  // namespace sessions
