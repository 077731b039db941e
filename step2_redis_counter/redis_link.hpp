// The one connection behind a RedisClient: hiredis' asynchronous API on an asio descriptor.
#pragma once

#include <hiredis/async.h>

#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/dispatch.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "redis_client.hpp"
#include "redis_tls.hpp"
#include "redis_url.hpp"

namespace sessions {

/// A command that has not been answered yet, and who waits for the answer.
class PendingCommand {
 public:
  using Arguments = std::vector<std::string>;
  using Clock = std::chrono::steady_clock;

  PendingCommand(Arguments arguments, Clock::time_point deadline)
      : arguments_{std::move(arguments)}, deadline_{deadline} {}
  virtual ~PendingCommand() = default;
  PendingCommand(const PendingCommand&) = delete;
  PendingCommand& operator=(const PendingCommand&) = delete;

  const Arguments& arguments() const { return arguments_; }
  Clock::time_point deadline() const { return deadline_; }
  /// Lets the waiting coroutine go on; called once.
  virtual void complete(std::exception_ptr failure, RedisReply reply) = 0;

 private:
  Arguments arguments_;
  Clock::time_point deadline_;
};

/// Lives on the event loop: except for send(), everything happens on its thread.
class RedisClient::Link : public std::enable_shared_from_this<Link> {
 public:
  Link(asio::io_context& event_loop, RedisUrl url);

  /// Sends a command, after connecting if need be. May be called on any thread.
  asio::awaitable<RedisReply> send(PendingCommand::Arguments arguments);

  /// Closes the connection for good and fails all commands.
  void stop();

 private:
  using Clock = PendingCommand::Clock;
  enum class State { kDisconnected, kConnecting, kReady, kStopped };

  void submit(std::unique_ptr<PendingCommand> command);
  void write(std::unique_ptr<PendingCommand> command);
  asio::awaitable<RedisReply> write_now(PendingCommand::Arguments arguments);

  asio::awaitable<void> connect();
  asio::awaitable<void> connect_to_any_address();
  asio::awaitable<void> log_in();
  void open(redisAsyncContext* context);
  bool is_connected() const;
  void close(const std::string& reason);
  void fail_waiting(const std::exception_ptr& failure);
  std::exception_ptr unavailable(std::string_view reason) const;

  void watch_deadlines();
  void check_deadlines();

  void read_when_ready();
  void write_when_ready();
  void write_soon();
  void handle_write();

  static void on_reply(redisAsyncContext* context, void* reply, void* command);
  static void on_add_read(void* link);
  static void on_add_write(void* link);
  static void on_cleanup(void* link);

  asio::io_context& event_loop_;
  const RedisUrl url_;
  std::optional<RedisTls> tls_;
  State state_ = State::kDisconnected;
  redisAsyncContext* context_ = nullptr;  ///< freed by close(), or by hiredis after a failure
  std::uint64_t generation_ = 0;          ///< tells a context from an earlier one
  asio::posix::stream_descriptor descriptor_;
  bool reading_ = false;
  bool writing_ = false;
  bool in_write_ = false;

  std::deque<std::unique_ptr<PendingCommand>> waiting_;  ///< for the connection
  std::deque<Clock::time_point> sent_deadlines_;  ///< of the commands hiredis holds, in order
  asio::steady_timer deadline_timer_;
  bool watching_deadlines_ = false;

  asio::steady_timer backoff_timer_;
  Clock::duration backoff_;
  std::string failure_;  ///< why the connection was closed, if that was decided here
};

}  // namespace sessions
