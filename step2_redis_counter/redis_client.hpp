// Redis for coroutines: `co_await redis.hincrby(key, "visits", 1)`.
#pragma once

#include <fmt/format.h>

#include <asio/awaitable.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "errors.hpp"
#include "event_loop.hpp"
#include "redis_reply.hpp"
#include "redis_url.hpp"

namespace sessions {

class RedisNodes;

/// A client with one connection to a server, on which the commands of all threads travel one behind
/// the other without waiting for each other's replies (pipelining). With Redis Cluster it has one
/// to every node, and a command goes to the one that has its key: its first argument, or a script's
/// first key.
///
/// It connects when the first command needs it, and again after a failure, at most every 50 ms at
/// first and every 500 ms later. A command waits at most one second, for connections, redirections
/// and the reply together. A command that was sent and lost its reply is not sent again: nobody
/// knows whether it was executed. One that a server has refused to execute because another one is
/// in charge now is sent to that one.
class RedisClient {
 public:
  RedisClient(EventLoop& event_loop, RedisUrl url);
  /// Fails the commands that are still waiting.
  ~RedisClient();
  RedisClient(const RedisClient&) = delete;
  RedisClient& operator=(const RedisClient&) = delete;

  /// Sends one command; the arguments are strings or whole numbers and may hold any bytes. May be
  /// called on any thread; continues on the event loop. Throws ServiceUnavailable if Redis cannot
  /// be reached or cannot answer now, RedisError if it refuses the command.
  template <typename... Arguments>
  asio::awaitable<RedisReply> command(const Arguments&... arguments) {
    std::vector<std::string> texts;
    texts.reserve(sizeof...(arguments));
    (texts.push_back(fmt::to_string(arguments)), ...);
    return command(std::move(texts));
  }
  /// The same for as many arguments as there happen to be.
  asio::awaitable<RedisReply> command(std::vector<std::string> arguments);

  //! [hincrby]
  /// Adds `increment` to a field of a hash, from 0 if there is none, and returns the new value
  /// (https://redis.io/commands/hincrby).
  asio::awaitable<std::int64_t> hincrby(std::string key, std::string field,
                                        std::int64_t increment) {
    const auto reply = co_await command("HINCRBY", key, field, increment);
    co_return reply.integer();
  }
  //! [hincrby]

  /// Throws as command() does.
  asio::awaitable<void> ping();

 private:
  EventLoop& event_loop_;
  std::shared_ptr<RedisNodes> nodes_;
};

/// For --check: prints PONG, or what is wrong and what to try, and returns the exit code 0 or 1.
int check_redis(EventLoop& event_loop, RedisClient& redis);

/// Tries to reach Redis in the background and logs a warning that names REDIS_URL if it cannot.
void warn_if_unreachable(EventLoop& event_loop, RedisClient& redis);

}  // namespace sessions
