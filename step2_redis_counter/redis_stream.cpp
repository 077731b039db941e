#include "redis_stream.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace sessions {
namespace {

// Nothing tells a client that a firewall or a load balancer has forgotten an idle connection: they
// do so after some minutes (AWS: 350 s), unless there is traffic, and the probes are traffic.
void keep_alive(int socket) {
  const auto set = [socket](int level, int option, int value) {
    if (::setsockopt(socket, level, option, &value, sizeof value) != 0) {
      throw std::system_error{errno, std::generic_category(), "setsockopt"};
    }
  };
  set(IPPROTO_TCP, TCP_NODELAY, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
}

}  // namespace

asio::ssl::context redis_tls() {
  asio::ssl::context context{asio::ssl::context::tls_client};
  context.set_default_verify_paths();
  context.set_verify_mode(asio::ssl::verify_peer);
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  return context;
}

RedisStream::RedisStream(asio::io_context& event_loop, asio::ssl::context* tls)
    : event_loop_{event_loop}, socket_{event_loop} {
  if (tls != nullptr) {
    tls_.emplace(socket_, *tls);
  }
}

asio::awaitable<void> RedisStream::connect(Endpoint endpoint, std::string host) {
  co_await socket_.async_connect(endpoint, asio::use_awaitable);
  if (endpoint.protocol().family() != AF_UNIX) {
    keep_alive(socket_.native_handle());
  }
  if (tls_) {
    co_await shake_hands(std::move(host));
  }
}

asio::awaitable<void> RedisStream::shake_hands(std::string host) {
  auto* session = tls_->native_handle();
  // A server with several names needs to be told which one is meant (SNI). Addresses are not sent.
  const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host.c_str()) == 1;
  if (!is_address && (SSL_set1_host(session, host.c_str()) != 1 ||
                      SSL_set_tlsext_host_name(session, host.c_str()) != 1)) {
    throw std::runtime_error{fmt::format("TLS: {} is no host name", host)};
  }
  std::error_code error;
  co_await tls_->async_handshake(asio::ssl::stream_base::client,
                                 asio::redirect_error(asio::use_awaitable, error));
  if (!error) {
    co_return;
  }
  // The error says only that the certificate was refused, and not why.
  if (const auto refusal = SSL_get_verify_result(session); refusal != X509_V_OK) {
    throw std::runtime_error{
        fmt::format("TLS: the certificate of {} is refused: {} (which authorities are trusted says "
                    "SSL_CERT_FILE)",
                    host, X509_verify_cert_error_string(refusal))};
  }
  throw std::runtime_error{fmt::format("TLS: {} (does this port speak TLS?)", error.message())};
}

void RedisStream::send_soon() {
  if (!std::exchange(is_sending_, true)) {
    asio::post(event_loop_, [self = shared_from_this()] { self->send_now(); });
  }
}

// With a callback, for a coroutine costs some 3,000 instructions more when one command is sent.
void RedisStream::send_now() {
  sending_.swap(unsent_);
  const auto sent = [self = shared_from_this()](const std::error_code& error, std::size_t) {
    self->sending_.clear();
    if (error) {
      self->close();
    } else if (self->unsent_.empty()) {
      self->is_sending_ = false;
    } else {
      self->send_now();
    }
  };
  if (tls_) {
    asio::async_write(*tls_, asio::buffer(sending_), sent);
  } else {
    asio::async_write(socket_, asio::buffer(sending_), sent);
  }
}

asio::awaitable<std::size_t> RedisStream::read(asio::mutable_buffer buffer) {
  return tls_ ? tls_->async_read_some(buffer, asio::use_awaitable)
              : socket_.async_read_some(buffer, asio::use_awaitable);
}

void RedisStream::close() {
  std::error_code ignored;
  static_cast<void>(socket_.close(ignored));
}

}  // namespace sessions
