// One client's connection: requests in, responses out, one after the other.
#pragma once

#include <asio/execution_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "event_loop.hpp"
#include "request_parser.hpp"
#include "routes.hpp"

namespace sessions {

/// What all connections of a server share. Outlives the last of them, which a handler may keep
/// after the server is gone.
struct ServerState {
  ServerState(EventLoop& loop, const Routes& served_routes)
      : event_loop{loop}, routes{served_routes} {}

  EventLoop& event_loop;
  const Routes& routes;
  asio::execution_context context;
  std::atomic<int> max_connections = std::numeric_limits<int>::max();
  std::chrono::milliseconds patience{};  ///< with slow clients
  std::atomic<int> connections = 0;
  std::atomic<int> newcomers = 0;  ///< connections that have not sent a request yet
  std::atomic<int> in_flight = 0;  ///< requests that are not answered to the last byte
  std::atomic<bool> stopping = false;
};

/// Reads what Pistache's worker receives, starts the handler of each request and writes its
/// response, on whatever thread the handler ends. Requests that come before the last one is
/// answered wait here and are answered in order (pipelining, RFC 9112, section 9.3.2).
///
/// Response isolation: the kernel gives the number of a closed descriptor to the next client.
/// Whoever writes a response by number, as Pistache's queue does, can therefore hand one user's
/// page to another: the client that asked leaves, the next one gets its number, then the response
/// is written. A connection owns a duplicate of its descriptor for as long as it lives, and a
/// handler keeps its connection alive. So the number that it writes to is its client's, whoever
/// closes the original, and when.
///
/// Nobody waits for anybody: what a slow reader's socket does not take at once is written on the
/// event loop. A client has a minute to finish a request, and a minute to read a response.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// Duplicates the client's descriptor. Throws std::system_error if that fails.
  Connection(int descriptor, std::shared_ptr<ServerState> server);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Called by the worker with what has arrived.
  void receive(std::string_view bytes) noexcept;
  /// Called by the worker when the client sends no more. It may still wait for its responses.
  void end_input() noexcept;

 private:
  using Clock = std::chrono::steady_clock;
  using Lock = std::unique_lock<std::mutex>;
  /// What is needed of a request until its response is written.
  struct Served {
    std::string line = "(malformed)";  ///< method and path, for the log
    bool with_body = true;
    Clock::time_point start = Clock::now();
  };

  void serve_next() noexcept;
  void start_handler(Request request);
  void respond(const Response& response, const Served& served);
  void give_up(const std::exception& error) noexcept;

  // These are called with the mutex locked.
  void no_longer_new();
  void begin_response(bool keep_alive);
  void end_response();
  void write_slowly(std::string bytes, std::size_t sent);
  void wait_for_rest_of_request();
  void close_after_linger();
  template <typename Action>
  void after(std::chrono::milliseconds delay, Action action);

  const std::shared_ptr<ServerState> server_;
  std::mutex mutex_;  ///< orders the worker and the event loop; isolation does not depend on it
  RequestParser parser_;
  asio::steady_timer timer_;
  std::uint64_t timer_number_ = 0;
  asio::posix::stream_descriptor slow_writer_;  ///< open while a response waits for its reader
  const int descriptor_;
  bool is_new_ = true;  ///< has not sent a request yet
  bool responding_ = false;
  bool awaiting_rest_ = false;  ///< the timer runs for a request that is incomplete
  bool closing_ = false;        ///< the response under way, or the one before, is the last
  bool input_ended_ = false;
};

}  // namespace sessions
