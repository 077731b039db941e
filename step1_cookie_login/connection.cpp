#include "connection.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <unistd.h>

#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/write.hpp>
#include <cerrno>
#include <optional>
#include <utility>

#include "errors.hpp"
#include "immediate_executor.hpp"
#include "pages.hpp"

namespace sessions {
namespace {

// A client that is still sending should see the response, which an early close would destroy
// (RFC 9112, section 9.6).
constexpr std::chrono::seconds kLinger{2};

/// How many bytes the socket took, perhaps none, or nothing if it will never take any again.
std::optional<std::size_t> send_without_waiting(int descriptor, std::string_view bytes) {
  const auto sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) {
    return static_cast<std::size_t>(sent);
  }
  return errno == EAGAIN || errno == EWOULDBLOCK ? std::optional<std::size_t>{0} : std::nullopt;
}

Response response_to_failure(std::exception_ptr failure, const std::string& request_line) {
  const auto something_wrong = [&](std::string_view what) {
    spdlog::error(fmt::format("{}: {}", request_line, what));
    return error_page(500, "Something went wrong. It has been logged.");
  };
  try {
    std::rethrow_exception(std::move(failure));
  } catch (const HttpError& error) {
    return error_page(error.status(), error.what());
  } catch (const ServiceUnavailable& error) {
    spdlog::error(fmt::format("{}: {}", request_line, error.what()));
    auto response = error_page(503, "The store is not available at the moment. Please try again.");
    response.add_header("Retry-After", "1");
    return response;
  } catch (const std::exception& error) {
    return something_wrong(error.what());
  } catch (...) {
    return something_wrong("not a std::exception");
  }
}

/// What is not printable ASCII could move the cursor of whoever reads the log.
std::string line_for_log(Method method, std::string_view path) {
  constexpr std::size_t kMaxPathBytes = 200;
  auto line = std::string{Pistache::Http::methodString(method)} + ' ';
  for (const char character : path.substr(0, kMaxPathBytes)) {
    if (character > ' ' && character < 0x7f) {
      line += character;
    } else {
      line += fmt::format("%{:02X}", static_cast<unsigned char>(character));
    }
  }
  return line;
}

}  // namespace

//! [response isolation]
Connection::Connection(int descriptor, std::shared_ptr<ServerState> server)
    : server_{std::move(server)},
      timer_{server_->event_loop.context()},
      slow_writer_{server_->event_loop.context()},
      descriptor_{::fcntl(descriptor, F_DUPFD_CLOEXEC, 0)} {
  if (descriptor_ < 0) {
    throw std::system_error{errno, std::generic_category(), "cannot duplicate a descriptor"};
  }
  ++server_->connections;
  ++server_->newcomers;
}

Connection::~Connection() {
  no_longer_new();
  if (responding_) {
    --server_->in_flight;
  }
  if (slow_writer_.is_open()) {
    slow_writer_.release();
  }
  ::close(descriptor_);
  --server_->connections;
}
//! [response isolation]

void Connection::receive(std::string_view bytes) noexcept {
  try {
    {
      const std::lock_guard lock{mutex_};
      if (closing_ || input_ended_) {
        return;
      }
      parser_.feed(bytes);
      // Pistache reads on, whatever waits here. What is more than a request is not read.
      input_ended_ = responding_ && parser_.waiting_bytes() > kMaxRequestBytes;
    }
    serve_next();
  } catch (const std::exception& error) {
    give_up(error);
  }
}

void Connection::end_input() noexcept {
  const std::lock_guard lock{mutex_};
  input_ended_ = true;
}

void Connection::serve_next() noexcept {
  try {
    std::optional<NextRequest> next;
    std::optional<Response> refusal;
    {
      const std::lock_guard lock{mutex_};
      if (responding_ || closing_) {
        return;
      }
      try {
        next = parser_.next();
      } catch (const HttpError& error) {
        refusal = error_page(error.status(), error.what());
      }
      if (!next && !refusal) {
        wait_for_rest_of_request();
        return;
      }
      const bool is_last = input_ended_ && parser_.waiting_bytes() == 0;
      begin_response(next && next->keep_alive && !server_->stopping && !is_last);
    }
    next ? start_handler(std::move(next->request)) : respond(*refusal, {});
  } catch (const std::exception& error) {
    give_up(error);
  }
}

void Connection::start_handler(Request request) {
  const auto method = request.method();
  Served served{.line = line_for_log(method, request.path()), .with_body = method != Method::Head};
  asio::co_spawn(ImmediateExecutor{server_->context}, server_->routes.answer(std::move(request)),
                 [self = shared_from_this(), served = std::move(served)](
                     std::exception_ptr failure, const Response& response) noexcept {
                   try {
                     self->respond(failure ? response_to_failure(failure, served.line) : response,
                                   served);
                   } catch (const std::exception& error) {
                     self->give_up(error);
                   }
                 });
}

void Connection::respond(const Response& response, const Served& served) {
  const std::lock_guard lock{mutex_};
  auto bytes = to_wire(response, served.with_body, !closing_);
  if (spdlog::should_log(spdlog::level::info)) {
    const std::chrono::duration<double, std::milli> time = Clock::now() - served.start;
    spdlog::info(fmt::format("{} {} {:.1f} ms", served.line, response.status(), time.count()));
  }
  const auto sent = send_without_waiting(descriptor_, bytes);
  if (sent && *sent < bytes.size()) {
    write_slowly(std::move(bytes), *sent);
    return;
  }
  closing_ = closing_ || !sent;
  end_response();
}

void Connection::write_slowly(std::string bytes, std::size_t sent) {
  const auto rest = std::make_shared<std::string>(std::move(bytes));
  slow_writer_.assign(descriptor_);
  after(server_->patience, [this](Lock /*lock*/) { slow_writer_.cancel(); });
  asio::async_write(slow_writer_, asio::buffer(*rest) + sent,
                    [self = shared_from_this(), rest](std::error_code failure, std::size_t) {
                      const std::lock_guard lock{self->mutex_};
                      self->slow_writer_.release();
                      self->closing_ = self->closing_ || failure;
                      self->end_response();
                    });
}

void Connection::no_longer_new() {
  if (std::exchange(is_new_, false)) {
    --server_->newcomers;
  }
}

void Connection::begin_response(bool keep_alive) {
  responding_ = true;
  closing_ = !keep_alive;
  awaiting_rest_ = false;
  ++timer_number_;
  ++server_->in_flight;
  no_longer_new();
}

void Connection::end_response() {
  responding_ = false;
  ++timer_number_;
  --server_->in_flight;
  if (closing_) {
    close_after_linger();
  } else if (parser_.waiting_bytes() > 0) {
    asio::post(server_->event_loop.context(), [self = shared_from_this()] { self->serve_next(); });
  }
}

void Connection::wait_for_rest_of_request() {
  if (parser_.must_invite_body()) {
    send_without_waiting(descriptor_, "HTTP/1.1 100 Continue\r\n\r\n");
  }
  if (input_ended_) {
    close_after_linger();
  } else if (!awaiting_rest_ && parser_.waiting_bytes() > 0) {
    awaiting_rest_ = true;
    after(server_->patience, [this](Lock lock) {
      begin_response(false);
      lock.unlock();
      respond(error_page(408, "The request did not arrive in time."), {});
    });
  }
}

void Connection::close_after_linger() {
  closing_ = true;
  ::shutdown(descriptor_, SHUT_WR);
  after(kLinger, [this](Lock /*lock*/) { ::shutdown(descriptor_, SHUT_RDWR); });
}

void Connection::give_up(const std::exception& error) noexcept {
  spdlog::error("A connection is given up for this reason:");
  spdlog::error(error.what());
  const std::lock_guard lock{mutex_};
  closing_ = true;
  ::shutdown(descriptor_, SHUT_RDWR);
}

/// Setting the timer again, or counting its number on, takes the action back.
template <typename Action>
void Connection::after(std::chrono::milliseconds delay, Action action) {
  timer_.expires_after(delay);
  timer_.async_wait([weak = weak_from_this(), number = ++timer_number_,
                     action = std::move(action)](std::error_code cancelled) {
    const auto self = weak.lock();
    if (!self || cancelled) {
      return;
    }
    try {
      Lock lock{self->mutex_};
      if (number == self->timer_number_) {
        action(std::move(lock));
      }
    } catch (const std::exception& error) {
      self->give_up(error);
    }
  });
}

}  // namespace sessions
