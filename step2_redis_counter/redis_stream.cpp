#include "redis_stream.hpp"

#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <asio/local/stream_protocol.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>
#include <utility>

namespace sessions {
namespace {

using Endpoint = asio::generic::stream_protocol::endpoint;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{1000};

std::vector<Endpoint> addresses_of(const std::string& host, const std::string& port) {
  addrinfo wanted{};
  wanted.ai_flags = AI_ADDRCONFIG;
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &wanted, &found); error != 0) {
    throw std::runtime_error{::gai_strerror(error)};
  }
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owned{found, ::freeaddrinfo};
  std::vector<Endpoint> addresses;
  for (const auto* entry = found; entry != nullptr; entry = entry->ai_next) {
    addresses.emplace_back(entry->ai_addr, entry->ai_addrlen);
  }
  return addresses;
}

/// The server's addresses. A name server may be silent for a minute, and asio's resolver lets its
/// io_context, and so the end of the program, wait for that. So each question is asked on a thread
/// that nobody waits for. It may outlive main(), so it uses nothing that ends with that, as asio's
/// error categories do.
asio::awaitable<std::vector<Endpoint>> look_up(asio::io_context& event_loop, RedisUrl url) {
  if (!url.path.empty()) {
    co_return std::vector<Endpoint>(1, asio::local::stream_protocol::endpoint{url.path});
  }
  std::packaged_task<std::vector<Endpoint>()> question{
      [host = url.host, port = url.port] { return addresses_of(host, port); }};
  auto answer = question.get_future();
  std::thread{std::move(question)}.detach();
  asio::steady_timer pause{event_loop};
  for (milliseconds waited{0}; answer.wait_for(milliseconds{0}) != std::future_status::ready;) {
    if (waited++ == kPatience) {
      throw std::runtime_error{fmt::format("no answer yet to what the address of {} is", url.host)};
    }
    pause.expires_after(milliseconds{1});
    co_await pause.async_wait(asio::use_awaitable);
  }
  co_return answer.get();
}

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

// Reading the authorities takes milliseconds.
asio::ssl::context& tls_context() {
  static asio::ssl::context shared = [] {
    asio::ssl::context context{asio::ssl::context::tls_client};
    context.set_default_verify_paths();
    context.set_verify_mode(asio::ssl::verify_peer);
    SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
    return context;
  }();
  return shared;
}

bool expect_host(SSL* session, const std::string& host) {
  const bool is_address = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host.c_str()) == 1;
  return is_address || (SSL_set1_host(session, host.c_str()) == 1 &&
                        SSL_set_tlsext_host_name(session, host.c_str()) == 1);
}

// A name can stand for several addresses, as localhost does for 127.0.0.1 and ::1, and Redis need
// not listen on the first one.
asio::awaitable<std::shared_ptr<RedisStream>> RedisStream::open(asio::io_context& event_loop,
                                                                RedisUrl url) {
  std::string failure = "has no address";
  for (const auto& endpoint : co_await look_up(event_loop, url)) {
    const auto stream = std::make_shared<RedisStream>(event_loop, url);
    asio::steady_timer patience{event_loop, kPatience};
    patience.async_wait([stream](const std::error_code& cancelled) {
      if (!cancelled) {
        stream->close(fmt::format("no answer within {} ms", kPatience.count()));
      }
    });
    try {
      co_await stream->connect(endpoint);
      co_await stream->log_in();
      co_return stream;
    } catch (const RedisError&) {
      throw;  // this is the right server, and it has refused us
    } catch (const std::exception& error) {
      failure = error.what();
    }
  }
  throw std::runtime_error{failure};
}

RedisStream::RedisStream(asio::io_context& event_loop, RedisUrl url)
    : event_loop_{event_loop}, url_{std::move(url)}, socket_{event_loop} {
  if (url_.tls) {
    tls_.emplace(socket_, tls_context());
  }
}

asio::awaitable<void> RedisStream::connect(Endpoint endpoint) {
  std::error_code error;
  co_await socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  throw_if(error);
  if (url_.path.empty()) {
    keep_alive(socket_.native_handle());
  }
  if (tls_) {
    co_await shake_hands();
  }
}

asio::awaitable<void> RedisStream::shake_hands() {
  const auto& host = url_.host;
  auto* session = tls_->native_handle();
  if (!expect_host(session, host)) {
    throw std::runtime_error{fmt::format("TLS: {} is no host name", host)};
  }
  std::error_code error;
  co_await tls_->async_handshake(asio::ssl::stream_base::client,
                                 asio::redirect_error(asio::use_awaitable, error));
  // The error says only that the certificate was refused, and not why.
  if (const auto refusal = SSL_get_verify_result(session); error && refusal != X509_V_OK) {
    throw std::runtime_error{
        fmt::format("TLS: the certificate of {} is refused: {} (which authorities are trusted says "
                    "SSL_CERT_FILE)",
                    host, X509_verify_cert_error_string(refusal))};
  }
  if (error && closed_for_.empty()) {
    throw std::runtime_error{fmt::format("TLS: {} (does this port speak TLS?)", error.message())};
  }
  throw_if(error);
}

asio::awaitable<void> RedisStream::log_in() {
  std::vector<std::vector<std::string>> commands;
  if (!url_.password.empty()) {
    auto& auth = commands.emplace_back(1, "AUTH");
    if (!url_.username.empty()) {
      auth.push_back(url_.username);
    }
    auth.push_back(url_.password);
  }
  if (url_.database != 0) {  // not every managed service knows SELECT
    commands.push_back({"SELECT", std::to_string(url_.database)});
  }
  // Whoever accepts the connection may still be silent, or loading, or no Redis at all.
  commands.emplace_back(1, "PING");
  for (const auto& command : commands) {
    send(command);
    const auto reply = co_await receive();
    if (const auto* error = reply.error()) {
      throw RedisError{*error};
    }
  }
  if (replies_.next()) {  // not to be taken for that to the next command
    throw std::runtime_error{"a reply to no command"};
  }
}

void RedisStream::send(const std::vector<std::string>& arguments) {
  if (unsent_.empty() && sending_.empty()) {
    asio::post(event_loop_, [self = shared_from_this()] { self->send_now(); });
  }
  append_command(unsent_, arguments);
}

// With a callback, for a coroutine costs some 3,000 instructions more when one command is sent.
void RedisStream::send_now() {
  sending_.swap(unsent_);
  const auto sent = [self = shared_from_this()](const std::error_code& error, std::size_t) {
    self->sending_.clear();
    if (error) {
      self->close(error.message());
    } else if (!self->unsent_.empty()) {
      self->send_now();
    }
  };
  if (tls_) {
    asio::async_write(*tls_, asio::buffer(sending_), sent);
  } else {
    asio::async_write(socket_, asio::buffer(sending_), sent);
  }
}

asio::awaitable<RedisReply> RedisStream::receive() {
  auto reply = replies_.next();
  while (!reply) {
    std::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto reading = tls_ ? tls_->async_read_some(asio::buffer(input_), token)
                        : socket_.async_read_some(asio::buffer(input_), token);
    const auto size = co_await std::move(reading);
    throw_if(error);
    replies_.feed({input_.data(), size});
    reply = replies_.next();
  }
  co_return std::move(*reply);
}

void RedisStream::close(std::string reason) {
  if (closed_for_.empty()) {
    closed_for_ = std::move(reason);
  }
  std::error_code ignored;
  static_cast<void>(socket_.close(ignored));
}

void RedisStream::throw_if(const std::error_code& error) const {
  if (!closed_for_.empty()) {
    throw std::runtime_error{closed_for_};
  }
  if (error) {
    throw std::runtime_error{error == asio::error::eof ? "the connection was closed"
                                                       : error.message()};
  }
}

}  // namespace sessions
