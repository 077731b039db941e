#include "http_request.hpp"

#include <array>
#include <asio/connect.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <memory>
#include <optional>

#include "errors.hpp"

namespace sessions::inspector {
namespace {

constexpr std::chrono::seconds kDeadline{10};

}  // namespace

asio::awaitable<HttpMessage> send_request(TcpAddress address, std::string request,
                                          std::size_t max_body) {
  using asio::ip::tcp;
  const auto executor = co_await asio::this_coro::executor;
  const auto socket = std::make_shared<tcp::socket>(executor);
  asio::steady_timer deadline{executor, kDeadline};
  deadline.async_wait([socket](const asio::error_code& cancelled) {
    asio::error_code ignored;
    if (!cancelled) {
      (void)socket->close(ignored);
    }
  });
  try {
    tcp::resolver resolver{executor};
    const auto addresses = co_await resolver.async_resolve(
        address.host, std::to_string(address.port), asio::use_awaitable);
    co_await asio::async_connect(*socket, addresses, asio::use_awaitable);
    co_await asio::async_write(*socket, asio::buffer(request), asio::use_awaitable);
    std::optional<HttpMessage> answer;
    HttpReader reader{
        HttpReader::Side::kResponses,
        {[&](const HttpMessage&) { return !request.starts_with("HEAD "); },
         [&](HttpMessage message) { answer = std::move(message); }, [](std::string_view) {}},
        max_body};
    std::array<char, 16384> bytes{};
    while (!answer) {
      asio::error_code end;
      const auto size = co_await socket->async_read_some(
          asio::buffer(bytes), asio::redirect_error(asio::use_awaitable, end));
      reader.feed({bytes.data(), size});
      if (end) {
        reader.end();
        break;
      }
    }
    if (answer) {
      co_return *answer;
    }
  } catch (const std::system_error& error) {
    throw ServiceUnavailable{address.text() + ": " + error.what()};
  }
  throw ServiceUnavailable{address.text() + ": no answer"};
}

}  // namespace sessions::inspector
