#include "relay.hpp"

#include <fmt/format.h>

#include <array>
#include <asio/co_spawn.hpp>
#include <asio/connect.hpp>
#include <asio/detached.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <charconv>
#include <chrono>
#include <optional>

#include "errors.hpp"
#include "redis_stream.hpp"

namespace sessions::inspector {
namespace {

using asio::ip::tcp;
using Addresses = tcp::resolver::results_type;

constexpr std::chrono::milliseconds kPauseForDescriptors{100};

/// Where clients are connected to.
struct Target {
  std::string host;
  Addresses addresses;
  bool tls;
  std::function<std::unique_ptr<Tap>()> make_tap;
};

struct Connection {
  tcp::socket client;
  tcp::socket server;
  std::unique_ptr<Tap> tap;
  std::optional<asio::ssl::stream<tcp::socket&>> tls;  ///< to the server
};

void close_both(Connection& connection) {
  asio::error_code ignored;
  (void)connection.client.close(ignored);
  (void)connection.server.close(ignored);
}

/// Passes on until the sender has nothing more to say. `look` sees each piece first.
template <typename From, typename To, typename Look>
asio::awaitable<void> pass_on(std::shared_ptr<Connection> connection, From& from, To& to,
                              Look look) {
  std::string bytes;
  asio::error_code error;
  for (;;) {
    bytes.resize(65536);
    const auto size = co_await from.async_read_some(
        asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      break;
    }
    bytes.resize(size);
    look(bytes);
    co_await asio::async_write(to, asio::buffer(bytes),
                               asio::redirect_error(asio::use_awaitable, error));
    if (error) {
      break;
    }
  }
  if (error != asio::error::eof) {
    close_both(*connection);  // a reset is passed on as an end: nobody waits for the rest
  } else {
    asio::error_code ignored;
    (void)to.lowest_layer().shutdown(tcp::socket::shutdown_send, ignored);
  }
}

template <typename Server>
asio::awaitable<void> pass_answers_on(std::shared_ptr<Connection> connection, Server& server) {
  co_await pass_on(connection, server, connection->client,
                   [&](std::string& bytes) { connection->tap->from_server(bytes); });
  connection->tap->server_closed();
}

template <typename Server>
asio::awaitable<void> pass_both_on(std::shared_ptr<Connection> connection, Server& server) {
  asio::co_spawn(co_await asio::this_coro::executor, pass_answers_on(connection, server),
                 asio::detached);
  co_await pass_on(connection, connection->client, server,
                   [&](std::string& bytes) { connection->tap->from_client(bytes); });
}

asio::awaitable<void> serve_client(std::shared_ptr<Connection> connection,
                                   std::shared_ptr<const Target> target) {
  asio::error_code error;
  co_await asio::async_connect(connection->server, target->addresses,
                               asio::redirect_error(asio::use_awaitable, error));
  if (!error && target->tls) {
    auto& tls = connection->tls.emplace(connection->server, tls_context());
    if (expect_host(tls.native_handle(), target->host)) {
      co_await tls.async_handshake(asio::ssl::stream_base::client,
                                   asio::redirect_error(asio::use_awaitable, error));
    } else {
      error = asio::error::invalid_argument;
    }
  }
  if (error) {
    const auto apology = connection->tap->apology();
    co_await asio::async_write(connection->client, asio::buffer(apology),
                               asio::redirect_error(asio::use_awaitable, error));
    co_return;
  }
  (void)connection->client.set_option(tcp::no_delay{true}, error);
  (void)connection->server.set_option(tcp::no_delay{true}, error);
  // Named first: GCC 12 destroys twice what a conditional expression awaits.
  auto passing = connection->tls ? pass_both_on(connection, *connection->tls)
                                 : pass_both_on(connection, connection->server);
  co_await std::move(passing);
}

asio::awaitable<void> accept_clients(tcp::acceptor acceptor, std::shared_ptr<const Target> target) {
  const auto executor = co_await asio::this_coro::executor;
  while (acceptor.is_open()) {
    asio::error_code error;
    tcp::socket client{executor};
    co_await acceptor.async_accept(client, asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::no_descriptors) {
      asio::steady_timer pause{executor, kPauseForDescriptors};
      co_await pause.async_wait(asio::use_awaitable);
    } else if (error == asio::error::invalid_argument) {
      co_return;  // serve() has shut down everything that listens, because the program ends
    } else if (!error) {
      auto connection = std::make_shared<Connection>(
          Connection{std::move(client), tcp::socket{executor}, target->make_tap(), {}});
      asio::co_spawn(executor, serve_client(std::move(connection), target), asio::detached);
    }
  }
}

}  // namespace

std::string TcpAddress::text() const {
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

TcpAddress TcpAddress::parse(std::string_view setting, std::string_view text, bool anywhere) {
  const auto colon = text.rfind(':');
  TcpAddress address;
  const auto port = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  const auto* end = port.data() + port.size();
  const auto result = std::from_chars(port.data(), end, address.port);
  auto host = text.substr(0, text.size() - port.size() - 1);
  if (host.starts_with('[') && host.ends_with(']')) {
    host = host.substr(1, host.size() - 2);
  }
  if (port.empty() || result.ec != std::errc{} || result.ptr != end || host.empty()) {
    throw SettingError{setting, "must be an address and a port, such as 127.0.0.1:8000"};
  }
  address.host = host;
  if (!anywhere && host != "localhost" && host != "::1" && !host.starts_with("127.")) {
    throw SettingError{setting,
                       fmt::format("{} is not this machine. The inspector shows everybody's "
                                   "cookies and requests; set INSPECT_ANYWAY=1 if you may see them",
                                   host)};
  }
  return address;
}

std::uint16_t start_relay(asio::io_context& event_loop, std::string_view setting,
                          std::uint16_t port, const TcpAddress& target,
                          std::function<std::unique_ptr<Tap>()> make_tap, bool tls) {
  try {
    tcp::resolver resolver{event_loop};
    auto made = std::make_shared<const Target>(
        Target{target.host, resolver.resolve(target.host, std::to_string(target.port)), tls,
               std::move(make_tap)});
    tcp::acceptor acceptor{event_loop, {asio::ip::address_v4::loopback(), port}};
    const auto actual_port = acceptor.local_endpoint().port();
    asio::co_spawn(event_loop, accept_clients(std::move(acceptor), std::move(made)),
                   asio::detached);
    return actual_port;
  } catch (const std::system_error& error) {
    throw SettingError{setting, fmt::format("between port {} and {}: {}. Port 0 is any free one",
                                            port, target.text(), error.what())};
  }
}

}  // namespace sessions::inspector
