// The server: Pistache reads HTTP on its worker threads, handlers answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "event_loop.hpp"
#include "routes.hpp"

namespace Pistache::Http {
class Endpoint;
}

namespace sessions {

struct ServerState;

/// Where a server listens, and with how much.
struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0 picks a free one
  int threads = 1;         ///< HTTP worker threads, 1 to 255
  /// How long a connection may stay open without a request.
  std::chrono::milliseconds keep_alive = std::chrono::minutes{5};
  /// How long a client may take to finish a request, and to read a response.
  std::chrono::milliseconds patience = std::chrono::minutes{1};
};

/// A server that listens for as long as it lives.
class HttpServer {
 public:
  /// `routes` must outlive the server. Throws SettingError if it cannot listen there.
  HttpServer(EventLoop& event_loop, const Routes& routes, const ServerOptions& options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::uint16_t port() const;
  /// Accepts nobody any more, and waits until what is in flight is answered, at most 10 s.
  void stop();

 private:
  std::shared_ptr<ServerState> state_;
  std::unique_ptr<Pistache::Http::Endpoint> endpoint_;
  int listener_ = -1;
};

/// A host as it stands in a URL: an IPv6 address in brackets (RFC 3986, section 3.2.2).
std::string host_of_url(const std::string& host);

}  // namespace sessions
