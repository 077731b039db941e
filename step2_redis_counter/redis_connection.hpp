// The connection to one Redis server.
#pragma once

#include <array>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/dispatch.hpp>
#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <chrono>
#include <deque>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "redis_protocol.hpp"
#include "redis_stream.hpp"
#include "redis_url.hpp"

namespace sessions {

/// A command that has not been answered yet, and who waits for the answer.
class RedisCommand {
 public:
  using Arguments = std::vector<std::string>;
  using Clock = std::chrono::steady_clock;

  /// For everything together: connections, redirections, and the reply.
  static constexpr std::chrono::milliseconds kTime{1000};

  explicit RedisCommand(Arguments words) : arguments{std::move(words)} {}
  virtual ~RedisCommand() = default;
  RedisCommand(const RedisCommand&) = delete;
  RedisCommand& operator=(const RedisCommand&) = delete;

  /// Lets the waiting coroutine go on; called once.
  virtual void complete(std::exception_ptr failure, RedisReply reply) = 0;

  const Arguments arguments;
  const Clock::time_point deadline = Clock::now() + kTime;
  int redirections = 0;
  bool asking = false;  ///< to be sent with ASKING (https://redis.io/commands/asking)
};

/// Suspends a coroutine and hands it to `start`, a function, as a command. The coroutine continues
/// with the reply or throws what the command failed with.
template <typename Start>
asio::awaitable<RedisReply> suspend_for_reply(RedisCommand::Arguments arguments, Start start) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr, RedisReply)>(
      [start = std::move(start)](auto handler, RedisCommand::Arguments words) mutable {
        class Suspended : public RedisCommand {
         public:
          Suspended(Arguments words, decltype(handler) handler)
              : RedisCommand{std::move(words)}, handler_{std::move(handler)} {}

          void complete(std::exception_ptr failure, RedisReply reply) override {
            const auto executor = asio::get_associated_executor(handler_);
            asio::dispatch(executor, [handler = std::move(handler_), failure = std::move(failure),
                                      reply = std::move(reply)]() mutable {
              std::move(handler)(std::move(failure), std::move(reply));
            });
          }

         private:
          decltype(handler) handler_;
        };
        start(std::make_unique<Suspended>(std::move(words), std::move(handler)));
      },
      asio::use_awaitable, std::move(arguments));
}

/// Sends commands one behind the other without waiting for each other's replies (pipelining).
/// Connects when the first command needs it, and again after a failure. Lives on the event loop.
class RedisConnection : public std::enable_shared_from_this<RedisConnection> {
 public:
  /// Who made the connection and decides where a command goes.
  class Owner {
   public:
    virtual ~Owner() = default;
    /// The server did not execute the command, because it is another's (`error` is MOVED, ASK or
    /// TRYAGAIN).
    virtual void redirect(const RedisConnection& from, std::unique_ptr<RedisCommand> command,
                          const RedisError& error) = 0;
    /// The connection failed, and these commands have not been sent.
    virtual void lost(std::deque<std::unique_ptr<RedisCommand>> unsent,
                      const std::exception_ptr& failure) = 0;
  };

  /// `tls` is null for a connection without. The owner must live until stop().
  RedisConnection(asio::io_context& event_loop, RedisUrl url,
                  std::shared_ptr<asio::ssl::context> tls, Owner& owner);

  const RedisUrl& url() const { return url_; }
  bool is_idle() const { return sent_.empty() && waiting_.empty(); }

  /// Sends a command, after connecting if need be.
  void submit(std::unique_ptr<RedisCommand> command);
  /// Closes the connection for good and fails all commands.
  void stop();
  /// That Redis cannot serve a command now.
  std::exception_ptr unavailable(std::string_view reason) const;

 private:
  using Clock = RedisCommand::Clock;
  enum class State {
    kDisconnected,
    kConnecting,
    kReady,
    kDraining,  ///< to be closed once what was sent is answered, or at once
    kStopped
  };
  struct Sent {
    std::unique_ptr<RedisCommand> command;  ///< null if nobody waits for the reply
    Clock::time_point due;                  ///< when the silence means that the connection is dead
  };

  void start();
  asio::awaitable<void> run();
  asio::awaitable<void> connect();
  asio::awaitable<std::vector<RedisStream::Endpoint>> endpoints();
  asio::awaitable<void> log_in();
  asio::awaitable<void> require_success(RedisCommand::Arguments arguments);
  asio::awaitable<void> receive();
  void write(std::unique_ptr<RedisCommand> command);
  void handle(RedisReply reply);
  void handle_refusal(std::unique_ptr<RedisCommand> command, const RedisError& error);
  void close(std::string reason);
  void clean_up();

  void watch(Clock::time_point deadline);
  void check_deadlines();

  asio::io_context& event_loop_;
  const RedisUrl url_;
  const std::shared_ptr<asio::ssl::context> tls_;
  Owner& owner_;
  State state_ = State::kDisconnected;

  std::shared_ptr<RedisStream> stream_;  ///< this and the next two are new for every attempt
  std::unique_ptr<RedisReplyReader> replies_;
  std::shared_ptr<asio::steady_timer> attempt_timer_;
  std::array<char, std::size_t{16} << 10> input_{};

  std::deque<std::unique_ptr<RedisCommand>> waiting_;  ///< for the connection
  std::deque<Sent> sent_;                              ///< in the order of their replies
  asio::steady_timer deadline_timer_;
  bool is_watching_ = false;

  asio::steady_timer pause_timer_;
  Clock::duration pause_{};  ///< before the next attempt to connect
  std::string closed_for_;   ///< why the connection is being closed, if that was decided here
  std::string failure_;      ///< of the last attempt
};

}  // namespace sessions
