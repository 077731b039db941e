// HTTP for coroutines: libcurl's multi interface on the event loop's event loop.
#pragma once

#include <curl/curl.h>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace sessions {

using Deadline = std::chrono::steady_clock::time_point;

/// No complete answer came. Whether the server carried out the request is unknown.
class HttpTransportError : public std::runtime_error {
 public:
  enum class Kind { kNoConnection, kTimedOut, kStopped };

  HttpTransportError(Kind kind, const std::string& reason)
      : std::runtime_error{reason}, kind_{kind} {}

  Kind kind() const noexcept { return kind_; }

 private:
  Kind kind_;
};

struct HttpTransportRequest {
  std::string url;
  std::vector<std::string> headers;  ///< each as "Name: value"
  std::optional<std::string> body;   ///< POST with this body if there is one, else GET
  Deadline deadline;
};

struct HttpTransportResponse {
  long status = 0;
  std::string body;
};

/// Sends requests side by side and keeps connections open for the next ones. It lives on the
/// event loop: everything happens on its thread.
///
/// A request is never sent twice behind the caller's back, as libcurl does by itself when a
/// connection that it kept open turns out to be closed.
class HttpTransport : public std::enable_shared_from_this<HttpTransport> {
 public:
  explicit HttpTransport(asio::io_context& event_loop);
  ~HttpTransport();
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  /// Throws HttpTransportError. An answer with any status, also an error, is returned.
  asio::awaitable<HttpTransportResponse> send(HttpTransportRequest request);

  /// Closes all connections and fails the requests that are under way.
  void stop();

 private:
  class Transfer;
  template <typename CompletionHandler>
  class TransferFor;
  struct WatchedSocket;
  struct MultiCleanup {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };

  void start(std::unique_ptr<Transfer> transfer);
  void watch(curl_socket_t socket, int events);
  void wait_for_events(const std::shared_ptr<WatchedSocket>& socket);
  void wait_for_event(const std::shared_ptr<WatchedSocket>& socket, int event);
  void set_timer(long milliseconds);
  void act(curl_socket_t socket, int events);
  void complete_finished();

  static int on_socket(CURL* easy, curl_socket_t socket, int events, void* transport,
                       void* socket_data);
  static int on_timer(CURLM* multi, long milliseconds, void* transport);

  asio::io_context& event_loop_;
  asio::steady_timer timer_;
  std::map<curl_socket_t, std::shared_ptr<WatchedSocket>> sockets_;
  std::unique_ptr<CURLM, MultiCleanup> multi_;
  std::map<CURL*, std::unique_ptr<Transfer>> transfers_;
};

}  // namespace sessions
