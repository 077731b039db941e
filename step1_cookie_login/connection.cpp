#include "connection.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <exception>

namespace sessions {
namespace {

// A client that is still sending should see the answer, which an early close would destroy
// (RFC 9112, section 9.6).
constexpr std::size_t kMaxDiscardedBytes = std::size_t{1024} * 1024;

}  // namespace

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
}

void Connection::answer(const std::string& bytes, std::shared_ptr<void> in_flight) {
  std::unique_lock lock{mutex_};
  const auto peer = peer_.lock();
  if (gone_ || !peer) {
    return;
  }
  const auto sent = ::send(peer->fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  //! [response isolation]
  if (sent == static_cast<ssize_t>(bytes.size())) {
    finish_answer(*peer);
    return;
  }
  if (sent < 0 && errno != EAGAIN && errno != EWOULDBLOCK) {
    return;  // the client is leaving, and the worker will see it
  }
  // The client reads slowly: Pistache's queue writes the rest when the socket takes it. It is put
  // there while the connection is not gone, and the worker drains the queue before it closes.
  const auto rest = bytes.substr(static_cast<std::size_t>(std::max<ssize_t>(sent, 0)));
  auto written = peer->send(Pistache::RawBuffer{rest, rest.size()}, MSG_NOSIGNAL);
  lock.unlock();
  written.then(
      [self = shared_from_this(), in_flight = std::move(in_flight)](ssize_t) {
        const std::lock_guard relock{self->mutex_};
        if (const auto same_peer = self->peer_.lock(); same_peer && !self->gone_) {
          self->finish_answer(*same_peer);
        }
      },
      [](const std::exception_ptr&) {});
}

void Connection::finish_answer(Pistache::Tcp::Peer& peer) {
  answering_ = false;
  if (closing_) {
    ::shutdown(peer.fd(), SHUT_WR);
  }
}

}  // namespace sessions
