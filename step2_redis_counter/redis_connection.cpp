#include "redis_connection.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/local/stream_protocol.hpp>
#include <stdexcept>
#include <system_error>

#include "errors.hpp"
#include "host_lookup.hpp"

namespace sessions {
namespace {

constexpr std::chrono::milliseconds kFirstPause{50};
constexpr std::chrono::milliseconds kLongestPause{500};

std::string reason_of(const std::exception& error) {
  const auto* failure = dynamic_cast<const std::system_error*>(&error);
  return failure != nullptr && failure->code() == asio::error::eof ? "the connection was closed"
                                                                   : error.what();
}

}  // namespace

RedisConnection::RedisConnection(asio::io_context& event_loop, RedisUrl url,
                                 std::shared_ptr<asio::ssl::context> tls, Owner& owner)
    : event_loop_{event_loop},
      url_{std::move(url)},
      tls_{std::move(tls)},
      owner_{owner},
      deadline_timer_{event_loop},
      pause_timer_{event_loop, Clock::now()} {}

void RedisConnection::submit(std::unique_ptr<RedisCommand> command) {
  if (state_ == State::kReady) {
    write(std::move(command));
    return;
  }
  if (state_ == State::kStopped) {
    command->complete(unavailable({}), {});
    return;
  }
  watch(command->deadline);
  waiting_.push_back(std::move(command));
  if (state_ == State::kDisconnected) {
    start();
  }
}

void RedisConnection::stop() {
  state_ = State::kStopped;
  pause_timer_.cancel();
  deadline_timer_.cancel();
  if (attempt_timer_) {
    attempt_timer_->cancel();
  }
  close({});
  for (auto& sent : std::exchange(sent_, {})) {
    if (sent.command) {
      sent.command->complete(unavailable({}), {});
    }
  }
  for (auto& command : std::exchange(waiting_, {})) {
    command->complete(unavailable({}), {});
  }
}

std::exception_ptr RedisConnection::unavailable(std::string_view reason) const {
  if (state_ == State::kStopped) {
    return std::make_exception_ptr(ClientStopped{});
  }
  return std::make_exception_ptr(
      ServiceUnavailable{fmt::format("Redis at {}: {}", url_.without_password(), reason)});
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
    co_await connect();
    if (state_ == State::kConnecting) {
      state_ = State::kReady;
      for (auto& command : std::exchange(waiting_, {})) {
        write(std::move(command));
      }
      co_await receive();
    }
  } catch (const std::exception& error) {
    failure_ = closed_for_.empty() ? reason_of(error) : closed_for_;
  }
  if (state_ != State::kStopped) {
    clean_up();
  }
}

// A name can stand for several addresses, as localhost does for 127.0.0.1 and ::1, and Redis need
// not listen on the first one.
asio::awaitable<void> RedisConnection::connect() {
  closed_for_.clear();
  attempt_timer_ = std::make_shared<asio::steady_timer>(event_loop_, RedisCommand::kTime);
  std::string failure = "has no address";
  for (const auto& endpoint : co_await endpoints()) {
    if (state_ == State::kStopped) {
      throw ClientStopped{};
    }
    closed_for_.clear();
    stream_ = std::make_shared<RedisStream>(event_loop_, tls_.get());
    replies_ = std::make_unique<RedisReplyReader>();
    attempt_timer_ = std::make_shared<asio::steady_timer>(event_loop_, RedisCommand::kTime);
    attempt_timer_->async_wait(
        [self = shared_from_this(), stream = stream_](std::error_code error) {
          if (!error && self->stream_ == stream && self->state_ == State::kConnecting) {
            self->close(fmt::format("no answer within {} ms", RedisCommand::kTime.count()));
          }
        });
    try {
      co_await stream_->connect(endpoint, url_.host);
      co_await log_in();
      attempt_timer_->cancel();
      co_return;
    } catch (const RedisError&) {
      throw;  // this is the right server, and it has refused us
    } catch (const std::exception& error) {
      failure = closed_for_.empty() ? reason_of(error) : closed_for_;
    }
  }
  throw std::runtime_error{failure};
}

asio::awaitable<std::vector<RedisStream::Endpoint>> RedisConnection::endpoints() {
  if (!url_.path.empty()) {
    co_return std::vector<RedisStream::Endpoint>(1,
                                                 asio::local::stream_protocol::endpoint{url_.path});
  }
  const auto addresses = co_await look_up(url_.host, url_.port, attempt_timer_);
  co_return std::vector<RedisStream::Endpoint>(addresses.begin(), addresses.end());
}

asio::awaitable<void> RedisConnection::log_in() {
  if (!url_.password.empty()) {
    RedisCommand::Arguments auth{"AUTH"};
    if (!url_.username.empty()) {
      auth.push_back(url_.username);
    }
    auth.push_back(url_.password);
    co_await require_success(std::move(auth));
  }
  if (url_.database != 0) {  // not every managed service knows SELECT
    RedisCommand::Arguments select{"SELECT", std::to_string(url_.database)};
    co_await require_success(std::move(select));
  }
  // Whoever accepts the connection may still be silent, or loading, or no Redis at all.
  co_await require_success(RedisCommand::Arguments(1, "PING"));
}

asio::awaitable<void> RedisConnection::require_success(RedisCommand::Arguments arguments) {
  append_command(stream_->unsent(), arguments);
  stream_->send_soon();
  std::optional<RedisReply> reply;
  while (!(reply = replies_->next())) {
    const auto size = co_await stream_->read(asio::buffer(input_));
    replies_->feed({input_.data(), size});
  }
  if (const auto* error = reply->error()) {
    throw RedisError{*error};
  }
  if (replies_->next()) {
    throw std::runtime_error{"a reply to no command"};  // not to be taken for that to the next one
  }
}

asio::awaitable<void> RedisConnection::receive() {
  while (state_ == State::kReady || !sent_.empty()) {
    const auto size = co_await stream_->read(asio::buffer(input_));
    replies_->feed({input_.data(), size});
    while (auto reply = replies_->next()) {
      handle(std::move(*reply));
    }
  }
}

void RedisConnection::write(std::unique_ptr<RedisCommand> command) {
  // A command that was redirected, and has used most of its time elsewhere, gives this server its
  // full time.
  const auto due =
      command->redirections == 0 ? command->deadline : Clock::now() + RedisCommand::kTime;
  if (std::exchange(command->asking, false)) {
    append_command(stream_->unsent(), {"ASKING"});
    sent_.push_back({nullptr, due});
  }
  append_command(stream_->unsent(), command->arguments);
  watch(command->deadline);
  sent_.push_back({std::move(command), due});
  stream_->send_soon();
}

void RedisConnection::handle(RedisReply reply) {
  const auto* error = reply.error();
  if (sent_.empty()) {
    throw std::runtime_error{error != nullptr ? error->what() : "a reply to no command"};
  }
  auto command = std::move(sent_.front().command);
  sent_.pop_front();
  if (!command) {
    return;
  }
  if (error != nullptr) {
    handle_refusal(std::move(command), *error);
    return;
  }
  pause_ = {};
  command->complete(nullptr, std::move(reply));
}

void RedisConnection::handle_refusal(std::unique_ptr<RedisCommand> command,
                                     const RedisError& error) {
  // The server was the primary and is a replica now. Its name may mean another server by now, so
  // what it has been sent is waited for, and then the command is sent on the next connection.
  if (error.code() == "READONLY") {
    failure_ = error.what();
    state_ = State::kDraining;
    waiting_.push_back(std::move(command));
    return;
  }
  pause_ = {};
  if (error.code() == "MOVED" || error.code() == "ASK" || error.code() == "TRYAGAIN") {
    owner_.redirect(*this, std::move(command), error);
  } else {
    command->complete(
        error.is_about_server() ? unavailable(error.what()) : std::make_exception_ptr(error), {});
  }
}

void RedisConnection::close(std::string reason) {
  closed_for_ = std::move(reason);
  if (state_ == State::kReady) {
    state_ = State::kDraining;
  }
  if (stream_) {
    stream_->close();
  }
}

void RedisConnection::clean_up() {
  const auto failure = unavailable(failure_);
  stream_.reset();
  auto lost = std::exchange(sent_, {});
  std::deque<std::unique_ptr<RedisCommand>> unsent;
  if (state_ == State::kConnecting) {
    unsent.swap(waiting_);
  }
  pause_ = std::clamp<Clock::duration>(2 * pause_, kFirstPause, kLongestPause);
  pause_timer_.expires_after(pause_);
  state_ = State::kDisconnected;
  owner_.lost(std::move(unsent), failure);
  for (auto& sent : lost) {
    if (sent.command) {
      sent.command->complete(failure, {});
    }
  }
  if (!waiting_.empty() && state_ == State::kDisconnected) {
    start();
  }
}

// One timer serves all: nearly always the oldest command is due first.
void RedisConnection::watch(Clock::time_point deadline) {
  if (is_watching_ && deadline >= deadline_timer_.expiry()) {
    return;
  }
  is_watching_ = true;
  deadline_timer_.expires_at(deadline);
  deadline_timer_.async_wait([self = shared_from_this()](const std::error_code& error) {
    if (!error) {
      self->is_watching_ = false;
      self->check_deadlines();
    }
  });
}

void RedisConnection::check_deadlines() {
  const auto now = Clock::now();
  auto next = Clock::time_point::max();
  const auto is_overdue = [&](const std::unique_ptr<RedisCommand>& command) {
    if (command && command->deadline > now) {
      next = std::min(next, command->deadline);
      return false;
    }
    return command != nullptr;
  };
  const auto no_reply = fmt::format("no reply within {} ms", RedisCommand::kTime.count());
  // Replies carry no name, so a connection that owes one for too long is of no use any more.
  if (!sent_.empty() && sent_.front().due <= now) {
    close(no_reply);
  } else if (!sent_.empty()) {
    next = sent_.front().due;
  }
  for (auto& sent : sent_) {
    if (is_overdue(sent.command)) {
      std::exchange(sent.command, nullptr)->complete(unavailable(no_reply), {});
    }
  }
  for (auto& command : std::exchange(waiting_, {})) {
    if (is_overdue(command)) {
      command->complete(
          unavailable(fmt::format("no connection within {} ms{}", RedisCommand::kTime.count(),
                                  failure_.empty() ? "" : " (" + failure_ + ")")),
          {});
    } else {
      waiting_.push_back(std::move(command));
    }
  }
  if (next != Clock::time_point::max()) {
    watch(next);
  }
}

}  // namespace sessions
