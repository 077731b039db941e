// HTTP for coroutines: libcurl on a thread of its own.
#pragma once

#include <curl/curl.h>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "errors.hpp"

namespace sessions {

using Deadline = std::chrono::steady_clock::time_point;

/// A request was sent, and no complete answer came: it is unknown what became of it.
class AnswerLost : public ServiceUnavailable {
 public:
  using ServiceUnavailable::ServiceUnavailable;
};

struct HttpTransportRequest {
  std::string url;
  std::vector<std::string> headers;                ///< each as "Name: value"
  std::optional<std::string> body = std::nullopt;  ///< for POST; without one it is GET
  Deadline deadline = Deadline::max();
};

struct HttpTransportResponse {
  long status = 0;
  std::string body;
};

/// Sends requests side by side and keeps connections open for the next ones. Coroutines on the
/// event loop ask for it; a thread drives libcurl and posts the answers to the event loop, so that
/// nothing libcurl does can hold up a visitor.
///
/// Deadlines are kept on the event loop: libcurl's own count neither for a request that waits for a
/// free connection nor while it looks up a name. A request is never sent twice behind the caller's
/// back, as libcurl does by itself when a connection that it kept open turns out to be closed.
class HttpTransport {
 public:
  explicit HttpTransport(asio::io_context& event_loop);
  ~HttpTransport() { stop(); }
  HttpTransport(const HttpTransport&) = delete;
  HttpTransport& operator=(const HttpTransport&) = delete;

  /// Returns an answer with any status. Throws AnswerLost, ServiceUnavailable if nothing was sent,
  /// or ClientStopped after stop(). Can be cancelled. The transport must live until it ends.
  asio::awaitable<HttpTransportResponse> send(HttpTransportRequest request);

  /// Closes all connections and fails the requests that are under way. May be called on any thread.
  void stop();

 private:
  struct Transfer;

  void post(std::function<void()> task);
  void run();
  void collect_finished();
  void finish(const std::shared_ptr<Transfer>& transfer, std::exception_ptr failure);

  asio::io_context& event_loop_;
  const std::unique_ptr<CURLM, decltype(&curl_multi_cleanup)> multi_;
  std::map<CURL*, std::shared_ptr<Transfer>> transfers_;  ///< the thread's own
  asio::io_context tasks_{1};                             ///< for the thread
  std::atomic<bool> is_stopped_ = false;
  std::thread thread_;
};

}  // namespace sessions
