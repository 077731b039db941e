#include "connection.hpp"

#include <fcntl.h>
#include <sys/socket.h>

#include <asio/posix/stream_descriptor.hpp>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

namespace sessions {
namespace {

// A client that is still sending should see the answer, which an early close would destroy
// (RFC 9112, section 9.6).
constexpr std::size_t kMaxDiscardedBytes = std::size_t{1024} * 1024;

/// How many bytes the socket took, perhaps none, or nothing if it will never take any again.
std::optional<std::size_t> send_without_waiting(int descriptor, std::string_view bytes) {
  const auto sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent >= 0) {
    return static_cast<std::size_t>(sent);
  }
  return errno == EAGAIN || errno == EWOULDBLOCK ? std::optional<std::size_t>{0} : std::nullopt;
}

}  // namespace

/// The answer to a client that reads slowly. Its descriptor is a duplicate, so it is this client's
/// as long as it is open, whenever Pistache closes the original.
struct Connection::Rest {
  std::shared_ptr<void> in_flight;
  std::string bytes;
  std::size_t sent;
  asio::posix::stream_descriptor descriptor;
};

Connection::Connection(const std::shared_ptr<Pistache::Tcp::Peer>& peer,
                       asio::io_context& slow_clients)
    : peer_{peer}, slow_clients_{slow_clients} {}

Connection::~Connection() = default;

bool Connection::accepts_input(std::size_t size) {
  const std::lock_guard lock{mutex_};
  if (answering_) {
    closing_ = true;
  }
  if (!closing_) {
    return true;
  }
  discarded_ += size;
  if (const auto peer = peer_.lock(); peer && !gone_ && discarded_ > kMaxDiscardedBytes) {
    ::shutdown(peer->fd(), SHUT_RDWR);
  }
  return false;
}

void Connection::begin_request(bool close) {
  const std::lock_guard lock{mutex_};
  answering_ = true;
  closing_ = close;
}

//! [response isolation]
void Connection::mark_gone() {
  const std::lock_guard lock{mutex_};
  gone_ = true;
  rest_.reset();
}

void Connection::answer(std::string bytes, std::shared_ptr<void> in_flight) {
  const std::lock_guard lock{mutex_};
  const auto peer = peer_.lock();
  if (gone_ || !peer) {
    return;
  }
  const auto sent = send_without_waiting(peer->fd(), bytes);
  //! [response isolation]
  if (!sent) {
    return;  // the client is leaving, and the worker will see it
  }
  if (*sent == bytes.size()) {
    finish_answer(peer->fd());
    return;
  }
  const int duplicate = ::fcntl(peer->fd(), F_DUPFD_CLOEXEC, 0);
  if (duplicate < 0) {
    ::shutdown(peer->fd(), SHUT_RDWR);
    return;
  }
  rest_ = std::make_unique<Rest>(std::move(in_flight), std::move(bytes), *sent,
                                 asio::posix::stream_descriptor{slow_clients_, duplicate});
  wait_until_writable();
}

void Connection::wait_until_writable() {
  rest_->descriptor.async_wait(asio::posix::stream_descriptor::wait_write,
                               [weak = weak_from_this()](const std::error_code& cancelled) {
                                 if (const auto self = weak.lock(); self && !cancelled) {
                                   self->send_rest();
                                 }
                               });
}

void Connection::send_rest() {
  const std::lock_guard lock{mutex_};
  if (!rest_) {
    return;  // the client left in this moment
  }
  const int descriptor = rest_->descriptor.native_handle();
  const auto sent =
      send_without_waiting(descriptor, std::string_view{rest_->bytes}.substr(rest_->sent));
  if (sent) {
    rest_->sent += *sent;
    if (rest_->sent < rest_->bytes.size()) {
      wait_until_writable();
      return;
    }
    finish_answer(descriptor);
  }
  rest_.reset();
}

void Connection::finish_answer(int descriptor) {
  answering_ = false;
  if (closing_) {
    ::shutdown(descriptor, SHUT_WR);
  }
}

}  // namespace sessions
