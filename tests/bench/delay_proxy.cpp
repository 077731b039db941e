// A TCP proxy that delays each direction by a fixed time and does not limit throughput.
//
// Usage: delay_proxy LISTEN_PORT TARGET_PORT DELAY_MICROSECONDS, all on 127.0.0.1.
#include <array>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <deque>
#include <iostream>
#include <memory>
#include <string>

namespace {

using asio::awaitable;
using asio::use_awaitable;
using asio::ip::tcp;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kReadSize = std::size_t{64} * 1024;

/// One direction of a connection: bytes on their way, each packet with the time it arrives. Reading
/// never waits for writing, so any number of packets can be on the way.
class Direction : public std::enable_shared_from_this<Direction> {
 public:
  Direction(std::shared_ptr<tcp::socket> from, std::shared_ptr<tcp::socket> to,
            Clock::duration delay)
      : from_{std::move(from)},
        to_{std::move(to)},
        delay_{delay},
        changed_{from_->get_executor()} {}

  void start() {
    asio::co_spawn(from_->get_executor(), read(shared_from_this()), asio::detached);
    asio::co_spawn(from_->get_executor(), write(shared_from_this()), asio::detached);
  }

 private:
  struct Packet {
    Clock::time_point arrives;
    std::string bytes;
  };

  awaitable<void> read(std::shared_ptr<Direction> /*self*/) {
    std::string buffer(kReadSize, '\0');
    try {
      for (;;) {
        const auto size = co_await from_->async_read_some(asio::buffer(buffer), use_awaitable);
        under_way_.push_back({Clock::now() + delay_, buffer.substr(0, size)});
        changed_.cancel();
      }
    } catch (const std::exception&) {
      ended_ = true;
      changed_.cancel();
    }
  }

  awaitable<void> write(std::shared_ptr<Direction> /*self*/) {
    try {
      while (!ended_ || !under_way_.empty()) {
        if (under_way_.empty()) {
          co_await wait_until(Clock::time_point::max());
        } else if (under_way_.front().arrives > Clock::now()) {
          co_await wait_until(under_way_.front().arrives);
        } else {
          std::string due;
          for (const auto now = Clock::now();
               !under_way_.empty() && under_way_.front().arrives <= now; under_way_.pop_front()) {
            due += under_way_.front().bytes;
          }
          co_await asio::async_write(*to_, asio::buffer(due), use_awaitable);
        }
      }
      to_->shutdown(tcp::socket::shutdown_send);
    } catch (const std::exception&) {
      from_->close();
    }
  }

  /// Returns early when something changes.
  awaitable<void> wait_until(Clock::time_point time) {
    changed_.expires_at(time);
    std::error_code cancelled;
    co_await changed_.async_wait(asio::redirect_error(use_awaitable, cancelled));
  }

  std::shared_ptr<tcp::socket> from_;
  std::shared_ptr<tcp::socket> to_;
  Clock::duration delay_;
  std::deque<Packet> under_way_;
  bool ended_ = false;
  asio::steady_timer changed_;
};

awaitable<void> accept_clients(tcp::endpoint listen, tcp::endpoint target, Clock::duration delay) {
  const auto executor = co_await asio::this_coro::executor;
  tcp::acceptor acceptor{executor, listen};
  std::cout << "delay_proxy listening" << std::endl;
  for (;;) {
    const auto client =
        std::make_shared<tcp::socket>(co_await acceptor.async_accept(use_awaitable));
    const auto server = std::make_shared<tcp::socket>(executor);
    co_await server->async_connect(target, use_awaitable);
    client->set_option(tcp::no_delay{true});
    server->set_option(tcp::no_delay{true});
    std::make_shared<Direction>(client, server, delay)->start();
    std::make_shared<Direction>(server, client, delay)->start();
  }
}

tcp::endpoint local(const char* port) {
  return {asio::ip::address_v4::loopback(), static_cast<std::uint16_t>(std::stoi(port))};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: delay_proxy LISTEN_PORT TARGET_PORT DELAY_MICROSECONDS\n";
    return 2;
  }
  asio::io_context context{1};
  asio::co_spawn(
      context,
      accept_clients(local(argv[1]), local(argv[2]), std::chrono::microseconds{std::stoi(argv[3])}),
      [](std::exception_ptr failure) {
        if (failure) {
          std::rethrow_exception(failure);
        }
      });
  context.run();
}
