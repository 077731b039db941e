#include "hold_proxy.hpp"

#include <array>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <memory>

namespace sessions::test {

using asio::ip::tcp;

HoldProxy::HoldProxy(int target_port, Held what) : target_port_{target_port}, what_{what} {
  asio::co_spawn(context_, accept(), asio::detached);
  thread_ = std::thread{[this] { context_.run(); }};
}

HoldProxy::~HoldProxy() {
  context_.stop();
  thread_.join();
}

asio::awaitable<void> HoldProxy::accept() {
  for (;;) {
    auto client =
        std::make_shared<tcp::socket>(co_await acceptor_.async_accept(asio::use_awaitable));
    auto server = std::make_shared<tcp::socket>(context_);
    const tcp::endpoint target{asio::ip::address_v4::loopback(),
                               static_cast<asio::ip::port_type>(target_port_)};
    co_await server->async_connect(target, asio::use_awaitable);
    asio::co_spawn(context_, forward(client, server, what_ == Held::kRequests), asio::detached);
    asio::co_spawn(context_, forward(server, client, what_ == Held::kReplies), asio::detached);
  }
}

asio::awaitable<void> HoldProxy::forward(std::shared_ptr<tcp::socket> from,
                                         std::shared_ptr<tcp::socket> to, bool can_be_held) {
  std::array<char, 65536> bytes{};
  try {
    for (;;) {
      const auto size = co_await from->async_read_some(asio::buffer(bytes), asio::use_awaitable);
      const bool passes = can_be_held && held_ && more_-- > 0;
      while (can_be_held && held_ && !passes) {
        holds_bytes_ = true;
        asio::steady_timer timer{context_, std::chrono::milliseconds{5}};
        co_await timer.async_wait(asio::use_awaitable);
      }
      if (can_be_held) {
        holds_bytes_ = false;
      }
      co_await asio::async_write(*to, asio::buffer(bytes, size), asio::use_awaitable);
    }
  } catch (const std::exception&) {
    from->close();  // one side has ended the connection
    to->close();
  }
}

}  // namespace sessions::test
