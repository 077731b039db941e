// A network that stops for a while.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <atomic>
#include <memory>
#include <string>
#include <thread>

namespace sessions::test {

/// Forwards connections to a port of 127.0.0.1. While it is held, what clients send stays here and
/// arrives later: a request is under way, and slow. Or what they are answered stays: a command was
/// executed, and its sender does not know yet.
class HoldProxy {
 public:
  enum class Held { kRequests, kReplies };

  explicit HoldProxy(int target_port, Held what = Held::kRequests);
  ~HoldProxy();
  HoldProxy(const HoldProxy&) = delete;
  HoldProxy& operator=(const HoldProxy&) = delete;

  int port() const { return acceptor_.local_endpoint().port(); }
  /// Holds all but the first `more` pieces that come from now on. What is sent one after the other,
  /// each time after a reply, comes in pieces of its own.
  void hold(int more = 0) {
    more_ = more;
    held_ = true;
  }
  void release() { held_ = false; }
  /// True if something has come since hold() that has not been forwarded.
  bool holds_bytes() const { return holds_bytes_; }

 private:
  asio::awaitable<void> accept();
  asio::awaitable<void> forward(std::shared_ptr<asio::ip::tcp::socket> from,
                                std::shared_ptr<asio::ip::tcp::socket> to, bool can_be_held);

  const int target_port_;
  const Held what_;
  std::atomic<bool> held_ = false;
  std::atomic<bool> holds_bytes_ = false;
  std::atomic<int> more_ = 0;
  asio::io_context context_;
  asio::ip::tcp::acceptor acceptor_{context_, {asio::ip::address_v4::loopback(), 0}};
  std::thread thread_;
};

}  // namespace sessions::test
