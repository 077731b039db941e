#include "redis_connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <stdexcept>
#include <system_error>

namespace sessions {
namespace {

constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{500};

}  // namespace

RedisConnection::RedisConnection(asio::io_context& event_loop, RedisUrl url)
    : event_loop_{event_loop},
      url_{std::move(url)},
      pause_timer_{event_loop, std::chrono::milliseconds{0}} {}

asio::awaitable<RedisReply> RedisConnection::execute(std::shared_ptr<RedisCommand> command) {
  command->failure = nullptr;
  if (stream_ && !is_draining_) {
    write(command);
  } else {
    waiting_.push_back(command);
    if (!std::exchange(is_running_, true)) {
      asio::co_spawn(event_loop_, run(), asio::detached);
    }
  }
  std::error_code answered;
  co_await command->timer.async_wait(asio::redirect_error(asio::use_awaitable, answered));
  if (!command->reply && !command->failure) {
    give_up(*command);
  }
  if (command->failure) {
    std::rethrow_exception(command->failure);
  }
  co_return *std::exchange(command->reply, std::nullopt);
}

void RedisConnection::stop() {
  is_draining_ = true;
  pause_timer_.cancel();
  if (stream_) {
    stream_->close("stopped");
  }
  const auto failure = std::make_exception_ptr(ClientStopped{});
  fail(waiting_, failure);
  fail(sent_, failure);
}

std::string RedisConnection::describe(std::string_view problem) const {
  return fmt::format("Redis at {}: {}", url_.without_password(), problem);
}

// Connects, and again after a failure, for as long as commands wait for that.
asio::awaitable<void> RedisConnection::run() {
  const auto self = shared_from_this();
  while (!waiting_.empty()) {
    try {
      co_await pause_timer_.async_wait(asio::use_awaitable);
      stream_ = co_await RedisStream::open(event_loop_, url_);
      for (auto& command : std::exchange(waiting_, {})) {
        write(std::move(command));
      }
      while (!is_draining_ || !sent_.empty()) {
        handle(co_await stream_->receive());
      }
    } catch (const std::exception& error) {
      failure_ = error.what();
    }
    pause_ = std::clamp(2 * pause_, kFirstPause, kLongestPause);
    pause_timer_.expires_after(pause_);
    is_draining_ = false;
    const auto problem = describe(failure_);
    fail(sent_, std::make_exception_ptr(ServiceUnavailable{problem}));
    if (!std::exchange(stream_, nullptr)) {
      fail(waiting_, std::make_exception_ptr(RedisUnreachable{problem}));
    }
  }
  is_running_ = false;
}

void RedisConnection::write(std::shared_ptr<RedisCommand> command) {
  if (command->failure) {
    return;  // its time was up before there was a connection
  }
  if (std::exchange(command->asking, false)) {
    write(std::make_shared<RedisCommand>(event_loop_, RedisCommand::Arguments{"ASKING"}));
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
  command->is_sent = false;
  if (error == nullptr || error->code() != "READONLY") {
    pause_ = {};
    command->reply = std::move(reply);
    command->timer.cancel();
    return;
  }
  // The server was the primary and is a replica now. Its name may mean another server by now, so
  // what it has been sent is waited for, and then the command is sent on the next connection.
  failure_ = error->what();
  is_draining_ = true;
  waiting_.push_back(command);
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
    is_draining_ = true;
    stream_->close(problem);
  }
  command.failure = std::make_exception_ptr(ServiceUnavailable{describe(problem)});
}

void RedisConnection::fail(Commands& commands, const std::exception_ptr& failure) {
  for (const auto& command : std::exchange(commands, {})) {
    command->failure = failure;
    command->timer.cancel();
  }
}

}  // namespace sessions
