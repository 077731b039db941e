// A command, and the connection on which it travels to one Redis server.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "redis_stream.hpp"

namespace sessions {

/// A command from its start to its reply.
struct RedisCommand {
  using Arguments = std::vector<std::string>;

  /// For everything together: connections, redirections, and the reply.
  static constexpr std::chrono::milliseconds kTime{1000};

  RedisCommand(asio::io_context& event_loop, Arguments words)
      : arguments{std::move(words)}, timer{event_loop, kTime} {}

  const Arguments arguments;
  asio::steady_timer timer;  ///< ends with its time, or is cancelled by a reply or a failure
  int redirections = 0;
  bool asking = false;   ///< to be sent with ASKING (https://redis.io/commands/asking)
  bool is_sent = false;  ///< and not answered yet
  std::optional<RedisReply> reply;
  std::exception_ptr failure;  ///< why there will be no reply
};

/// There is no connection to Redis, and the command has not been sent.
class RedisUnreachable : public ServiceUnavailable {
 public:
  using ServiceUnavailable::ServiceUnavailable;
};

/// Sends commands one behind the other without waiting for each other's replies (pipelining).
/// Connects when the first command needs it, and again after a failure. Lives on the event loop.
class RedisConnection : public std::enable_shared_from_this<RedisConnection> {
 public:
  RedisConnection(asio::io_context& event_loop, RedisUrl url);

  const RedisUrl& url() const { return url_; }
  bool is_idle() const { return sent_.empty() && waiting_.empty(); }

  /// Sends a command, after connecting if need be, and waits for its reply, which can be an error.
  /// Throws RedisUnreachable if the command was not sent, ServiceUnavailable if nobody
  /// knows whether it was executed. The caller keeps the connection alive.
  asio::awaitable<RedisReply> execute(std::shared_ptr<RedisCommand> command);
  /// Closes the connection and fails the commands. Not used again afterwards.
  void stop();

  /// `problem` and where it is.
  std::string describe(std::string_view problem) const;

 private:
  using Commands = std::deque<std::shared_ptr<RedisCommand>>;

  asio::awaitable<void> run();
  void write(std::shared_ptr<RedisCommand> command);
  void handle(RedisReply reply);
  void give_up(RedisCommand& command);
  static void fail(Commands& commands, const std::exception_ptr& failure);

  asio::io_context& event_loop_;
  const RedisUrl url_;
  bool is_running_ = false;              ///< connected, or about to be
  bool is_draining_ = false;             ///< to be closed once what was sent is answered
  std::shared_ptr<RedisStream> stream_;  ///< null unless connected
  Commands waiting_;                     ///< for the connection
  Commands sent_;
  asio::steady_timer pause_timer_;
  std::chrono::milliseconds pause_{};  ///< before the next attempt to connect
  std::string failure_;                ///< of the last attempt
};

}  // namespace sessions
