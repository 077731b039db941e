// HTTP for coroutines: libcurl on a thread of its own.
#pragma once

#include <curl/curl.h>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace sessions {

using Deadline = std::chrono::steady_clock::time_point;

/// No complete answer came.
class HttpTransportError : public std::runtime_error {
 public:
  enum class Kind {
    kNotSent,   ///< there was no connection, so the server has not seen the request
    kNoAnswer,  ///< whether the server carried out the request is unknown
    kTimedOut,  ///< the same, and the deadline has passed
    kStopped
  };

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

  /// Throws HttpTransportError. An answer with any status, also an error, is returned. The
  /// transport must live until then.
  asio::awaitable<HttpTransportResponse> send(HttpTransportRequest request);

  /// Closes all connections and fails the requests that are under way. May be called on any thread.
  void stop();

 private:
  struct Transfer;
  struct MultiCleanup {
    void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  };

  bool post(std::function<void()> task);
  void run();
  void start(std::shared_ptr<Transfer> transfer);
  void abandon(const Transfer& transfer);
  void collect_finished();
  void give_to_event_loop(std::shared_ptr<Transfer> transfer);

  asio::io_context& event_loop_;
  std::unique_ptr<CURLM, MultiCleanup> multi_;
  std::mutex mutex_;
  std::vector<std::function<void()>> tasks_;              ///< for the thread; behind the mutex
  bool is_stopped_ = false;                               ///< behind the mutex
  std::map<CURL*, std::shared_ptr<Transfer>> transfers_;  ///< the thread's own
  std::thread thread_;
};

}  // namespace sessions
