#include "redis_stream.hpp"

#include <fmt/format.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <asio/ip/tcp.hpp>
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

/// The addresses that a host's name stands for. A name server may be silent for a minute, and
/// asio's own resolver lets its io_context, and so the end of the program, wait for that. So each
/// question is asked on a thread that nobody waits for and that owns what it works on.
asio::awaitable<std::vector<Endpoint>> look_up(asio::io_context& event_loop, std::string host,
                                               std::string port) {
  std::packaged_task<std::vector<Endpoint>()> question{[host, port] {
    asio::io_context context;
    std::vector<Endpoint> endpoints;
    for (const auto& found : asio::ip::tcp::resolver{context}.resolve(
             host, port, asio::ip::resolver_base::address_configured)) {
      endpoints.emplace_back(found.endpoint());
    }
    return endpoints;
  }};
  auto answer = question.get_future();
  std::thread{std::move(question)}.detach();
  asio::steady_timer pause{event_loop};
  for (milliseconds waited{0}; answer.wait_for(milliseconds{0}) != std::future_status::ready;) {
    if (waited++ == kPatience) {
      throw std::runtime_error{fmt::format("no answer yet to what the address of {} is", host)};
    }
    pause.expires_after(milliseconds{1});
    co_await pause.async_wait(asio::use_awaitable);
  }
  co_return answer.get();
}

asio::awaitable<std::vector<Endpoint>> endpoints_of(asio::io_context& event_loop, RedisUrl url) {
  if (url.path.empty()) {
    co_return co_await look_up(event_loop, url.host, url.port);
  }
  co_return std::vector<Endpoint>(1, asio::local::stream_protocol::endpoint{url.path});
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

asio::ssl::context redis_tls() {
  asio::ssl::context context{asio::ssl::context::tls_client};
  context.set_default_verify_paths();
  context.set_verify_mode(asio::ssl::verify_peer);
  SSL_CTX_set_min_proto_version(context.native_handle(), TLS1_2_VERSION);
  return context;
}

// A name can stand for several addresses, as localhost does for 127.0.0.1 and ::1, and Redis need
// not listen on the first one.
asio::awaitable<std::shared_ptr<RedisStream>> RedisStream::open(
    asio::io_context& event_loop, RedisUrl url, std::shared_ptr<asio::ssl::context> tls) {
  std::string failure = "has no address";
  for (const auto& endpoint : co_await endpoints_of(event_loop, url)) {
    const auto stream = std::make_shared<RedisStream>(event_loop, tls);
    asio::steady_timer patience{event_loop, kPatience};
    patience.async_wait([stream](const std::error_code& cancelled) {
      if (!cancelled) {
        stream->close(fmt::format("no answer within {} ms", kPatience.count()));
      }
    });
    try {
      co_await stream->connect(endpoint, url.host);
      co_await stream->log_in(url);
      co_return stream;
    } catch (const RedisError&) {
      throw;  // this is the right server, and it has refused us
    } catch (const std::exception& error) {
      failure = error.what();
    }
  }
  throw std::runtime_error{failure};
}

RedisStream::RedisStream(asio::io_context& event_loop, std::shared_ptr<asio::ssl::context> tls)
    : event_loop_{event_loop}, tls_context_{std::move(tls)}, socket_{event_loop} {
  if (tls_context_) {
    tls_.emplace(socket_, *tls_context_);
  }
}

asio::awaitable<void> RedisStream::connect(Endpoint endpoint, std::string host) {
  std::error_code error;
  co_await socket_.async_connect(endpoint, asio::redirect_error(asio::use_awaitable, error));
  throw_if(error);
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

asio::awaitable<void> RedisStream::log_in(RedisUrl url) {
  if (!url.password.empty()) {
    std::vector<std::string> auth{"AUTH", url.username, url.password};
    if (url.username.empty()) {
      auth.erase(auth.begin() + 1);
    }
    co_await require_success(std::move(auth));
  }
  if (url.database != 0) {  // not every managed service knows SELECT
    std::vector<std::string> select{"SELECT", std::to_string(url.database)};
    co_await require_success(std::move(select));
  }
  // Whoever accepts the connection may still be silent, or loading, or no Redis at all.
  co_await require_success(std::vector<std::string>(1, "PING"));
}

asio::awaitable<void> RedisStream::require_success(std::vector<std::string> command) {
  send(command);
  std::optional<RedisReply> reply;
  co_await receive([&reply](RedisReply arrived) {
    if (std::exchange(reply, std::move(arrived))) {
      throw std::runtime_error{
          "a reply to no command"};  // not to be taken for that to the next one
    }
    return false;
  });
  if (const auto* error = reply->error()) {
    throw RedisError{*error};
  }
}

void RedisStream::send(const std::vector<std::string>& arguments) {
  append_command(unsent_, arguments);
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
      self->close(error.message());
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

asio::awaitable<void> RedisStream::receive(std::function<bool(RedisReply)> handle) {
  for (bool is_more = true; is_more;) {
    std::error_code error;
    auto token = asio::redirect_error(asio::use_awaitable, error);
    auto reading = tls_ ? tls_->async_read_some(asio::buffer(input_), token)
                        : socket_.async_read_some(asio::buffer(input_), token);
    const auto size = co_await std::move(reading);
    throw_if(error);
    replies_.feed({input_.data(), size});
    while (auto reply = replies_.next()) {
      is_more = handle(std::move(*reply));
    }
  }
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
