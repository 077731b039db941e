// A script that Redis keeps.
#pragma once

#include <asio/awaitable.hpp>
#include <string>
#include <string_view>

#include "redis_client.hpp"

namespace sessions {

/// A Lua script, which Redis runs as one unit. It is sent once; afterwards its SHA-1 names it
/// (https://redis.io/commands/evalsha), which is shorter and spares Redis the reading.
class RedisScript {
 public:
  explicit RedisScript(std::string_view text);

  /// Runs the script; the first `keys` of the arguments are keys. Throws as RedisClient::command()
  /// does.
  template <typename... Arguments>
  asio::awaitable<RedisReply> run(RedisClient& redis, int keys, Arguments... arguments) const {
    try {
      co_return co_await redis.command("EVALSHA", name_, keys, arguments...);
    } catch (const RedisError& error) {
      if (!std::string_view{error.what()}.starts_with("NOSCRIPT")) {
        throw;
      }
    }
    // Redis has not seen the script yet, or has been restarted: nothing was executed.
    co_return co_await redis.command("EVAL", text_, keys, arguments...);
  }

 private:
  std::string_view text_;
  std::string name_;
};

}  // namespace sessions
