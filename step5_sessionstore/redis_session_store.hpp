// Sessions in Redis.
#pragma once

#include <optional>
#include <string>

#include "redis_client.hpp"
#include "redis_script.hpp"
#include "session_store.hpp"
#include "user_tags.hpp"

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
  RedisSessionStore(EventLoop& event_loop, RedisUrl url, UserTags tags, SessionLimits limits);

  asio::awaitable<SessionToken> create(std::string username) override;
  asio::awaitable<std::optional<SessionFields>> read(SessionToken token) override;
  asio::awaitable<std::optional<SessionFields>> set(SessionToken token, std::string field,
                                                    std::string value) override;
  asio::awaitable<std::optional<SessionFields>> increment(SessionToken token, std::string field,
                                                          std::int64_t by) override;
  asio::awaitable<void> destroy(SessionToken token) override;
  asio::awaitable<SessionList> list(std::string username) override;
  asio::awaitable<void> destroy_all(std::string username) override;
  asio::awaitable<void> ping() override;

 private:
  template <typename... Change>
  asio::awaitable<std::optional<SessionFields>> access(SessionToken token, Change... change);

  asio::awaitable<void> add_newest(std::string tag, SessionList& list);

  RedisClient redis_;
  const UserTags tags_;
  const SessionLimits limits_;
  const RedisScript create_;
  const RedisScript access_;
  const RedisScript destroy_;
  const RedisScript newest_;
};

}  // namespace sessions
