// A command, and the connection on which it travels to one Redis server.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "errors.hpp"
#include "redis_stream.hpp"

namespace sessions {

class RedisConnection;

/// A command from its start to its reply.
struct RedisCommand {
  using Arguments = std::vector<std::string>;
  using Clock = std::chrono::steady_clock;

  /// For everything together: connections, redirections, and the reply.
  static constexpr std::chrono::milliseconds kTime{1000};

  explicit RedisCommand(Arguments words) : arguments{std::move(words)} {}
  /// Lets the coroutine that waits go on, if one does.
  void complete(std::exception_ptr failure);

  const Arguments arguments;
  const Clock::time_point deadline = Clock::now() + kTime;
  int redirections = 0;
  bool asking = false;                ///< to be sent with ASKING (https://redis.io/commands/asking)
  bool is_sent = false;               ///< and not answered yet
  RedisConnection* server = nullptr;  ///< the last that has got it
  RedisReply reply;
  std::function<void(std::exception_ptr)> waiting;  ///< continues the coroutine
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
  asio::awaitable<void> execute(std::shared_ptr<RedisCommand> command);
  /// Ends the wait for a command whose time is up.
  void give_up(RedisCommand& command);
  /// Closes the connection and forgets the commands, without completing them.
  void stop();

  /// `problem` and where it is.
  std::string describe(std::string_view problem) const;

 private:
  enum class State {
    kDisconnected,
    kConnecting,
    kReady,
    kDraining  ///< to be closed once what was sent is answered, or at once
  };

  void submit(std::shared_ptr<RedisCommand> command);
  void start();
  asio::awaitable<void> run();
  void write(std::shared_ptr<RedisCommand> command);
  void handle(RedisReply reply);
  void clean_up();

  asio::io_context& event_loop_;
  const RedisUrl url_;
  State state_ = State::kDisconnected;
  std::shared_ptr<RedisStream> stream_;                ///< null unless connected
  std::deque<std::shared_ptr<RedisCommand>> waiting_;  ///< for the connection
  std::deque<std::shared_ptr<RedisCommand>> sent_;     ///< null for ASKING
  asio::steady_timer pause_timer_;
  RedisCommand::Clock::duration pause_{};  ///< before the next attempt to connect
  std::string failure_;                    ///< of the last attempt
};

}  // namespace sessions
