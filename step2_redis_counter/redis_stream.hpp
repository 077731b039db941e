// One connection to a Redis server: commands go, replies come.
#pragma once

#include <array>
#include <asio/awaitable.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "redis_protocol.hpp"
#include "redis_url.hpp"

namespace sessions {

/// What all TLS connections share. Trusts the authorities that OpenSSL trusts (the system's, or
/// those of SSL_CERT_FILE and SSL_CERT_DIR) and speaks TLS 1.2 or newer.
asio::ssl::context& tls_context();

/// Lets a TLS session accept the certificate of this host only, and tell the server which of its
/// names is meant (SNI; addresses are not sent). False if it is neither a name nor an address.
bool expect_host(SSL* session, const std::string& host);

/// Over TCP or a Unix socket, with or without TLS. Lives on the event loop. Not used again after a
/// failure. What fails throws std::runtime_error, which says why.
class RedisStream : public std::enable_shared_from_this<RedisStream> {
 public:
  /// Looks up the server's name, connects to the first of its addresses where a Redis answers, and
  /// logs in there. The look-up may take a second, and so may each address. Throws RedisError if
  /// Redis refuses the login.
  static asio::awaitable<std::shared_ptr<RedisStream>> open(asio::io_context& event_loop,
                                                            RedisUrl url);

  /// One that is not connected; see open().
  RedisStream(asio::io_context& event_loop, RedisUrl url);

  /// Not at once: what others send meanwhile travels in the same packet. A failure ends receive().
  void send(const std::vector<std::string>& arguments);
  /// The next reply, once it has arrived.
  asio::awaitable<RedisReply> receive();
  /// Lets what is under way fail for this reason.
  void close(std::string reason);

 private:
  using Socket = asio::generic::stream_protocol::socket;

  asio::awaitable<void> connect(Socket::endpoint_type endpoint);
  asio::awaitable<void> shake_hands();
  asio::awaitable<void> log_in();
  void send_now();
  void throw_if(const std::error_code& error) const;

  asio::io_context& event_loop_;
  const RedisUrl url_;
  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  std::string closed_for_;
  std::string unsent_;  ///< to be sent as soon as sending_ is empty
  std::string sending_;
  std::array<char, std::size_t{16} << 10> input_{};
  RedisReplyReader replies_;
};

}  // namespace sessions
