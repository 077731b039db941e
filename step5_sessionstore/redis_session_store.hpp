// Sessions in Redis.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "redis_client.hpp"
#include "session_store.hpp"

namespace sessions {

/// A session is the hash `session:{tag}:secret`, its fields are the hash's fields. The sorted set
/// `sessions-of:{tag}` holds the secrets of the user's sessions by the time when they expire, and
/// what it does not name is no session: ending all of a user's sessions is to delete this one key.
/// The hashes that are left over are never read again, and Redis removes them in their time.
///
/// Each operation but list() and, after the key was changed, destroy_all() is one round trip: a
/// script that Redis runs as one unit, with Redis' own clock, so that it does not matter what time
/// the servers believe it is. What is in braces decides on which server of a cluster a key lies
/// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/), so both keys of a
/// script lie on the same one.
class RedisSessionStore : public SessionStore {
 public:
  RedisSessionStore(EventLoop& event_loop, RedisUrl url, std::vector<SigningKey> keys,
                    SessionLimits limits)
      : redis_{event_loop, std::move(url)}, keys_{std::move(keys)}, limits_{limits} {}

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<SessionList> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  asio::awaitable<void> ping() override;

 private:
  asio::awaitable<std::optional<SessionFields>> access(
      SessionToken token, std::optional<SessionChange> change) override;
  asio::awaitable<RedisReply> run_access(SessionToken token, std::optional<SessionChange> change);

  RedisClient redis_;
  const std::vector<SigningKey> keys_;
  const SessionLimits limits_;
};

}  // namespace sessions
