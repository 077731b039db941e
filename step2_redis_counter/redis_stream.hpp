// The bytes that go to Redis and come from there.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/buffer.hpp>
#include <asio/generic/stream_protocol.hpp>
#include <asio/io_context.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

namespace sessions {

/// Trusts the authorities that OpenSSL trusts (the system's, or those of SSL_CERT_FILE and
/// SSL_CERT_DIR) and speaks TLS 1.2 or newer. Throws std::system_error.
asio::ssl::context redis_tls();

/// One connection over TCP or a Unix socket, with or without TLS. Lives on the event loop. Not used
/// again after a failure.
class RedisStream : public std::enable_shared_from_this<RedisStream> {
 public:
  using Endpoint = asio::generic::stream_protocol::endpoint;

  /// Encrypts if `tls` is not null. It must outlive the stream.
  RedisStream(asio::io_context& event_loop, asio::ssl::context* tls);

  /// With TLS it also makes sure that the server's certificate names `host`, a name or an address.
  /// Throws std::runtime_error.
  asio::awaitable<void> connect(Endpoint endpoint, std::string host);

  /// What is to be sent: append to it, then call send_soon().
  std::string& unsent() { return unsent_; }
  /// Not at once: what others append meanwhile travels in the same packet. A failure ends read().
  void send_soon();

  /// Waits for bytes and returns how many there are. Throws std::system_error.
  asio::awaitable<std::size_t> read(asio::mutable_buffer buffer);

  /// Lets what is under way fail.
  void close();

 private:
  using Socket = asio::generic::stream_protocol::socket;

  asio::awaitable<void> shake_hands(std::string host);
  void send_now();

  asio::io_context& event_loop_;
  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  std::string unsent_;
  std::string sending_;
  bool is_sending_ = false;
};

}  // namespace sessions
