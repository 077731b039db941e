// One connection to a Redis server: commands go, replies come.
#pragma once

#include <array>
#include <asio/awaitable.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "redis_protocol.hpp"
#include "redis_url.hpp"

namespace sessions {

/// Trusts the authorities that OpenSSL trusts (the system's, or those of SSL_CERT_FILE and
/// SSL_CERT_DIR) and speaks TLS 1.2 or newer. Throws std::system_error.
asio::ssl::context redis_tls();

/// Over TCP or a Unix socket, with or without TLS. Lives on the event loop. Not used again after a
/// failure. What fails throws std::runtime_error, which says why.
class RedisStream : public std::enable_shared_from_this<RedisStream> {
 public:
  /// Looks up the server's name, connects to the first of its addresses where a Redis answers, and
  /// logs in there. The look-up may take a second, and so may each address. Encrypts if `tls` is
  /// not null. Throws RedisError if Redis refuses the login.
  static asio::awaitable<std::shared_ptr<RedisStream>> open(
      asio::io_context& event_loop, RedisUrl url, std::shared_ptr<asio::ssl::context> tls);

  /// One that is not connected; see open().
  RedisStream(asio::io_context& event_loop, std::shared_ptr<asio::ssl::context> tls);

  /// Not at once: what others send meanwhile travels in the same packet. A failure ends receive().
  void send(const std::vector<std::string>& arguments);
  /// Hands over all replies that have arrived, again and again, until `handle` returns false for
  /// the last of them.
  asio::awaitable<void> receive(std::function<bool(RedisReply)> handle);
  /// Lets what is under way fail for this reason.
  void close(std::string reason);

 private:
  using Socket = asio::generic::stream_protocol::socket;

  asio::awaitable<void> connect(Socket::endpoint_type endpoint, std::string host);
  asio::awaitable<void> shake_hands(std::string host);
  asio::awaitable<void> log_in(RedisUrl url);
  asio::awaitable<void> require_success(std::vector<std::string> command);
  void send_now();
  void throw_if(const std::error_code& error) const;

  asio::io_context& event_loop_;
  const std::shared_ptr<asio::ssl::context> tls_context_;
  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  std::string closed_for_;
  std::string unsent_;
  std::string sending_;
  bool is_sending_ = false;
  std::array<char, std::size_t{16} << 10> input_{};
  RedisReplyReader replies_;
};

}  // namespace sessions
