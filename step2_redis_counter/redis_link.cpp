#include "redis_link.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include "errors.hpp"

namespace sessions {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kCommandTime{1000};
constexpr milliseconds kFirstBackoff{50};
constexpr milliseconds kLongestBackoff{500};

template <typename CompletionHandler>
class PendingCommandFor : public PendingCommand {
 public:
  PendingCommandFor(Arguments arguments, Clock::time_point deadline, CompletionHandler handler)
      : PendingCommand{std::move(arguments), deadline}, handler_{std::move(handler)} {}

  void complete(std::exception_ptr failure, RedisReply reply) override {
    const auto executor = asio::get_associated_executor(handler_);
    asio::dispatch(executor, [handler = std::move(handler_), failure = std::move(failure),
                              reply = std::move(reply)]() mutable {
      std::move(handler)(std::move(failure), std::move(reply));
    });
  }

 private:
  CompletionHandler handler_;
};

/// Suspends the coroutine and hands it to `start` as a pending command.
template <typename Start>
asio::awaitable<RedisReply> suspend_for_reply(PendingCommand::Arguments arguments, Start start) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void(std::exception_ptr, RedisReply)>(
      [start = std::move(start)](auto handler, PendingCommand::Arguments sent) mutable {
        using Pending = PendingCommandFor<decltype(handler)>;
        start(std::make_unique<Pending>(
            std::move(sent), PendingCommand::Clock::now() + kCommandTime, std::move(handler)));
      },
      asio::use_awaitable, std::move(arguments));
}

/// The errors that say something of the server's state and nothing of the command: the same command
/// may succeed later, or elsewhere, or once the configuration is right.
bool is_about_server(std::string_view error) {
  constexpr std::array<std::string_view, 10> kCodes{
      "LOADING", "BUSY",     "MASTERDOWN", "READONLY",   "OOM",
      "MISCONF", "TRYAGAIN", "NOPERM",     "NOREPLICAS", "CLUSTERDOWN"};
  const auto code = error.substr(0, error.find(' '));
  return std::ranges::find(kCodes, code) != kCodes.end();
}

RedisReply converted(const redisReply& reply) {
  switch (reply.type) {
    case REDIS_REPLY_INTEGER:
      return RedisReply{static_cast<std::int64_t>(reply.integer)};
    case REDIS_REPLY_STRING:
    case REDIS_REPLY_STATUS:
      return RedisReply{std::string{reply.str, static_cast<std::size_t>(reply.len)}};
    case REDIS_REPLY_ARRAY: {
      RedisReply::List list;
      list.reserve(reply.elements);
      std::transform(reply.element, reply.element + reply.elements, std::back_inserter(list),
                     [](const redisReply* element) { return converted(*element); });
      return RedisReply{std::move(list)};
    }
    default:
      return RedisReply{};
  }
}

}  // namespace

RedisClient::Link::Link(asio::io_context& event_loop, RedisUrl url)
    : event_loop_{event_loop},
      url_{std::move(url)},
      descriptor_{event_loop},
      deadline_timer_{event_loop},
      backoff_timer_{event_loop, Clock::now()},
      backoff_{kFirstBackoff} {
  if (url_.tls) {
    tls_.emplace();
  }
}

asio::awaitable<RedisReply> RedisClient::Link::send(PendingCommand::Arguments arguments) {
  return suspend_for_reply(
      std::move(arguments), [self = shared_from_this()](std::unique_ptr<PendingCommand> command) {
        asio::post(self->event_loop_, [self, command = std::move(command)]() mutable {
          self->submit(std::move(command));
        });
      });
}

void RedisClient::Link::stop() {
  state_ = State::kStopped;
  backoff_timer_.cancel();
  deadline_timer_.cancel();
  close("the client was stopped");
  fail_waiting(unavailable("the client was stopped"));
}

void RedisClient::Link::submit(std::unique_ptr<PendingCommand> command) {
  if (state_ == State::kReady) {
    write(std::move(command));
    return;
  }
  waiting_.push_back(std::move(command));
  if (state_ == State::kStopped) {
    fail_waiting(unavailable("the client was stopped"));
  } else if (state_ == State::kDisconnected) {
    state_ = State::kConnecting;
    asio::co_spawn(event_loop_, connect(), asio::detached);
  }
  watch_deadlines();
}

void RedisClient::Link::write(std::unique_ptr<PendingCommand> command) {
  std::vector<const char*> arguments;
  std::vector<std::size_t> sizes;
  arguments.reserve(command->arguments().size());
  sizes.reserve(command->arguments().size());
  for (const auto& argument : command->arguments()) {
    arguments.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  const auto result =
      redisAsyncCommandArgv(context_, on_reply, command.get(), static_cast<int>(arguments.size()),
                            arguments.data(), sizes.data());
  if (result != REDIS_OK) {
    command->complete(unavailable("the connection is being closed"), {});
    return;
  }
  sent_deadlines_.push_back(command->deadline());
  static_cast<void>(command.release());  // hiredis holds it until on_reply()
  watch_deadlines();
}

asio::awaitable<RedisReply> RedisClient::Link::write_now(PendingCommand::Arguments arguments) {
  return suspend_for_reply(std::move(arguments), [this](std::unique_ptr<PendingCommand> command) {
    write(std::move(command));
  });
}

asio::awaitable<void> RedisClient::Link::connect() {
  const auto self = shared_from_this();
  std::exception_ptr failure;
  try {
    co_await backoff_timer_.async_wait(asio::use_awaitable);
    co_await connect_to_any_address();
  } catch (const ServiceUnavailable&) {
    failure = std::current_exception();
  } catch (const std::exception& error) {
    failure = unavailable(error.what());
  }
  if (state_ == State::kStopped) {
    co_return;
  }
  if (failure) {
    state_ = State::kDisconnected;
    close("could not log in");
    backoff_timer_.expires_after(backoff_);
    backoff_ = std::min<Clock::duration>(2 * backoff_, kLongestBackoff);
    fail_waiting(failure);
    co_return;
  }
  state_ = State::kReady;
  backoff_ = kFirstBackoff;
  while (!waiting_.empty() && state_ == State::kReady) {
    auto command = std::move(waiting_.front());
    waiting_.pop_front();
    write(std::move(command));
  }
}

// A name can stand for several addresses, as localhost does for 127.0.0.1 and ::1, and Redis need
// not listen on the first one.
asio::awaitable<void> RedisClient::Link::connect_to_any_address() {
  if (!url_.path.empty()) {
    open(redisAsyncConnectUnix(url_.path.c_str()));
    co_return co_await log_in();
  }
  asio::ip::tcp::resolver resolver{event_loop_};
  const auto addresses = co_await resolver.async_resolve(url_.host, url_.port, asio::use_awaitable);
  std::exception_ptr failure;
  for (const auto& address : addresses) {
    const auto endpoint = address.endpoint();
    try {
      open(redisAsyncConnect(endpoint.address().to_string().c_str(), endpoint.port()));
      co_return co_await log_in();
    } catch (const std::exception&) {
      if (is_connected()) {
        throw;  // this is the right server, and it has refused us
      }
      failure = std::current_exception();
    }
    // The failure was reported from within hiredis, which has yet to leave the lost connection.
    co_await asio::post(event_loop_, asio::use_awaitable);
  }
  std::rethrow_exception(failure);
}

asio::awaitable<void> RedisClient::Link::log_in() {
  if (!url_.password.empty()) {
    PendingCommand::Arguments auth{"AUTH"};
    if (!url_.username.empty()) {
      auth.push_back(url_.username);
    }
    auth.push_back(url_.password);
    co_await write_now(std::move(auth));
  }
  PendingCommand::Arguments select{"SELECT", std::to_string(url_.database)};
  co_await write_now(std::move(select));
}

void RedisClient::Link::open(redisAsyncContext* context) {
  if (context == nullptr) {
    throw std::bad_alloc{};
  }
  if (state_ == State::kStopped) {  // while the address was looked up, say
    redisAsyncFree(context);
    throw ClientStopped{};
  }
  if (context->err != 0) {
    const std::string reason = context->errstr;
    redisAsyncFree(context);
    throw std::runtime_error{reason};
  }
  failure_.clear();
  context_ = context;
  ++generation_;
  descriptor_.assign(context->c.fd);
  context->data = this;
  context->ev.data = this;
  context->ev.addRead = on_add_read;
  context->ev.addWrite = on_add_write;
  context->ev.cleanup = on_cleanup;
  if (tls_) {
    try {
      tls_->start(context->c, url_.host);
    } catch (const std::exception& error) {
      close(error.what());  // another address may be the right one
      throw;
    }
  }
}

bool RedisClient::Link::is_connected() const {
  return context_ != nullptr && (context_->c.flags & REDIS_CONNECTED) != 0;
}

void RedisClient::Link::close(const std::string& reason) {
  failure_ = reason;
  if (auto* context = std::exchange(context_, nullptr)) {
    redisAsyncFree(context);  // calls on_reply() for every command it holds
  }
}

void RedisClient::Link::fail_waiting(const std::exception_ptr& failure) {
  for (auto& command : std::exchange(waiting_, {})) {
    command->complete(failure, {});
  }
}

std::exception_ptr RedisClient::Link::unavailable(std::string_view reason) const {
  if (state_ == State::kStopped) {
    return std::make_exception_ptr(ClientStopped{});
  }
  return std::make_exception_ptr(
      ServiceUnavailable{fmt::format("Redis at {}: {}", url_.without_password(), reason)});
}

// Commands are answered in order and each has the same time, so the oldest one is due first, and
// one timer serves all.
void RedisClient::Link::watch_deadlines() {
  if (watching_deadlines_ || (waiting_.empty() && sent_deadlines_.empty())) {
    return;
  }
  auto next = Clock::time_point::max();
  if (!waiting_.empty()) {
    next = waiting_.front()->deadline();
  }
  if (!sent_deadlines_.empty()) {
    next = std::min(next, sent_deadlines_.front());
  }
  watching_deadlines_ = true;
  deadline_timer_.expires_at(next);
  deadline_timer_.async_wait([self = shared_from_this()](const std::error_code& /*error*/) {
    self->watching_deadlines_ = false;
    self->check_deadlines();
    self->watch_deadlines();
  });
}

void RedisClient::Link::check_deadlines() {
  const auto now = Clock::now();
  // hiredis cannot take one command back, so an overdue reply ends the connection.
  if (!sent_deadlines_.empty() && sent_deadlines_.front() <= now) {
    close(fmt::format("no reply within {} ms", kCommandTime.count()));
  }
  while (!waiting_.empty() && waiting_.front()->deadline() <= now) {
    const auto command = std::move(waiting_.front());
    waiting_.pop_front();
    command->complete(unavailable(fmt::format("no connection within {} ms", kCommandTime.count())),
                      {});
  }
}

void RedisClient::Link::read_when_ready() {
  if (std::exchange(reading_, true)) {
    return;
  }
  descriptor_.async_wait(
      asio::posix::stream_descriptor::wait_read,
      [self = shared_from_this(), generation = generation_](const std::error_code& error) {
        if (!error && self->context_ != nullptr && self->generation_ == generation) {
          self->reading_ = false;
          if (self->tls_) {
            RedisTls::forget_failure();
          }
          redisAsyncHandleRead(self->context_);
        }
      });
}

void RedisClient::Link::write_when_ready() {
  if (std::exchange(writing_, true)) {
    return;
  }
  descriptor_.async_wait(
      asio::posix::stream_descriptor::wait_write,
      [self = shared_from_this(), generation = generation_](const std::error_code& error) {
        if (!error && self->generation_ == generation) {
          self->handle_write();
        }
      });
}

// Not at once: the commands that other requests have queued meanwhile travel in the same packet.
void RedisClient::Link::write_soon() {
  if (std::exchange(writing_, true)) {
    return;
  }
  asio::post(event_loop_, [self = shared_from_this(), generation = generation_] {
    if (self->generation_ == generation) {
      self->handle_write();
    }
  });
}

void RedisClient::Link::handle_write() {
  if (context_ == nullptr) {
    return;
  }
  writing_ = false;
  in_write_ = true;
  if (tls_) {
    RedisTls::forget_failure();
  }
  redisAsyncHandleWrite(context_);
  in_write_ = false;
}

void RedisClient::Link::on_add_read(void* link) { static_cast<Link*>(link)->read_when_ready(); }

void RedisClient::Link::on_add_write(void* link) {
  auto& self = *static_cast<Link*>(link);
  if (self.is_connected() && !self.in_write_) {
    self.write_soon();
  } else {
    self.write_when_ready();
  }
}

void RedisClient::Link::on_cleanup(void* link) {
  auto& self = *static_cast<Link*>(link);
  if (self.state_ == State::kReady) {
    self.state_ = State::kDisconnected;
  }
  self.context_ = nullptr;
  self.descriptor_.release();  // hiredis closes it
  self.reading_ = false;
  self.writing_ = false;
}

void RedisClient::Link::on_reply(redisAsyncContext* context, void* reply, void* command) {
  const std::unique_ptr<PendingCommand> pending{static_cast<PendingCommand*>(command)};
  auto& self = *static_cast<Link*>(context->data);
  self.sent_deadlines_.pop_front();
  if (reply == nullptr) {
    auto reason = self.failure_;
    if (reason.empty() && self.tls_) {
      reason = RedisTls::failure();
    }
    if (reason.empty()) {
      reason = context->errstr;
    }
    pending->complete(self.unavailable(reason.empty() ? "the connection was closed" : reason), {});
    return;
  }
  const auto& received = *static_cast<redisReply*>(reply);
  if (received.type != REDIS_REPLY_ERROR) {
    pending->complete(nullptr, converted(received));
    return;
  }
  const std::string error{received.str, static_cast<std::size_t>(received.len)};
  pending->complete(
      is_about_server(error) ? self.unavailable(error) : std::make_exception_ptr(RedisError{error}),
      {});
}

}  // namespace sessions
