#include "redis_connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio/async_result.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/dispatch.hpp>
#include <asio/use_awaitable.hpp>
#include <stdexcept>

namespace sessions {
namespace {

constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{500};

}  // namespace

void RedisCommand::complete(std::exception_ptr failure) {
  if (const auto go_on = std::exchange(waiting, nullptr)) {
    go_on(std::move(failure));
  }
}

RedisConnection::RedisConnection(asio::io_context& event_loop, RedisUrl url)
    : event_loop_{event_loop},
      url_{std::move(url)},
      pause_timer_{event_loop, RedisCommand::Clock::now()} {}

asio::awaitable<void> RedisConnection::execute(std::shared_ptr<RedisCommand> command) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr)>(
      [this](auto handler, std::shared_ptr<RedisCommand> started) {
        const auto waiting = std::make_shared<decltype(handler)>(std::move(handler));
        started->waiting = [waiting](std::exception_ptr failure) {
          asio::dispatch(asio::get_associated_executor(*waiting),
                         [waiting, failure] { std::move (*waiting)(failure); });
        };
        submit(std::move(started));
      },
      asio::use_awaitable, std::move(command));
}

void RedisConnection::give_up(RedisCommand& command) {
  auto problem = fmt::format("no {} within {} ms", command.is_sent ? "reply" : "connection",
                             RedisCommand::kTime.count());
  if (!command.is_sent && !failure_.empty()) {
    problem += fmt::format(" ({})", failure_);
  }
  // Replies carry no name, so a connection that owes one for too long is of no use any more. But a
  // command that was redirected has used most of its time elsewhere.
  if (command.is_sent && command.redirections == 0) {
    state_ = State::kDraining;
    stream_->close(problem);
  }
  command.complete(std::make_exception_ptr(ServiceUnavailable{describe(problem)}));
}

void RedisConnection::stop() {
  state_ = State::kDraining;
  pause_timer_.cancel();
  waiting_.clear();
  sent_.clear();
  if (stream_) {
    stream_->close("stopped");
  }
}

std::string RedisConnection::describe(std::string_view problem) const {
  return fmt::format("Redis at {}: {}", url_.without_password(), problem);
}

void RedisConnection::submit(std::shared_ptr<RedisCommand> command) {
  command->server = this;
  if (state_ == State::kReady) {
    write(std::move(command));
    return;
  }
  waiting_.push_back(std::move(command));
  if (state_ == State::kDisconnected) {
    start();
  }
}

void RedisConnection::start() {
  state_ = State::kConnecting;
  asio::co_spawn(event_loop_, run(), asio::detached);
}

// The life of one connection.
asio::awaitable<void> RedisConnection::run() {
  const auto self = shared_from_this();
  try {
    co_await pause_timer_.async_wait(asio::use_awaitable);
    stream_ = co_await RedisStream::open(event_loop_, url_);
    if (state_ == State::kConnecting) {
      state_ = State::kReady;
      for (auto& command : std::exchange(waiting_, {})) {
        write(std::move(command));
      }
      while (state_ == State::kReady || !sent_.empty()) {
        handle(co_await stream_->receive());
      }
    }
  } catch (const std::exception& error) {
    failure_ = error.what();
  }
  clean_up();
}

void RedisConnection::write(std::shared_ptr<RedisCommand> command) {
  if (!command->waiting) {
    return;  // its time was up before there was a connection
  }
  if (std::exchange(command->asking, false)) {
    stream_->send({"ASKING"});
    sent_.push_back(nullptr);
  }
  stream_->send(command->arguments);
  command->is_sent = true;
  sent_.push_back(std::move(command));
}

void RedisConnection::handle(RedisReply reply) {
  const auto* error = reply.error();
  if (sent_.empty()) {
    throw std::runtime_error{error != nullptr ? error->what() : "a reply to no command"};
  }
  const auto command = std::move(sent_.front());
  sent_.pop_front();
  if (!command) {
    return;
  }
  command->is_sent = false;
  if (error == nullptr || error->code() != "READONLY") {
    pause_ = {};
    command->reply = std::move(reply);
    command->complete(nullptr);
    return;
  }
  // The server was the primary and is a replica now. Its name may mean another server by now, so
  // what it has been sent is waited for, and then the command is sent on the next connection.
  failure_ = error->what();
  state_ = State::kDraining;
  waiting_.push_back(command);
}

void RedisConnection::clean_up() {
  pause_ = std::clamp<RedisCommand::Clock::duration>(2 * pause_, kFirstPause, kLongestPause);
  pause_timer_.expires_after(pause_);
  state_ = State::kDisconnected;
  const auto problem = describe(failure_);
  const auto lost = std::exchange(sent_, {});
  if (!std::exchange(stream_, nullptr)) {
    for (const auto& command : std::exchange(waiting_, {})) {
      command->complete(std::make_exception_ptr(RedisUnreachable{problem}));
    }
  }
  for (const auto& command : lost) {
    if (command) {
      command->complete(std::make_exception_ptr(ServiceUnavailable{problem}));
    }
  }
  if (!waiting_.empty() && state_ == State::kDisconnected) {
    start();
  }
}

}  // namespace sessions
