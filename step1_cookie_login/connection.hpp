// Response isolation: an answer reaches the client that asked, or nobody.
#pragma once

#include <pistache/peer.h>

#include <asio/io_context.hpp>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>

namespace sessions {

/// One client's connection, shared by the Pistache worker that reads it and the thread on which a
/// handler happens to finish.
///
/// The kernel gives the descriptor of a closed connection to the next client. Whoever writes an
/// answer by descriptor, as Pistache's response queue does, can therefore hand one user's page to
/// another: the client that asked leaves, the next one gets its number, then the answer is written.
/// Here every answer is written under a mutex and only while the connection is not gone, and the
/// worker marks it as gone, under the same mutex, before it closes the descriptor.
///
/// A client that reads slowly holds up nobody. Pistache's queue would: its worker tries again and
/// again, and serves no other client, until the socket takes the rest of such an answer. So the
/// rest waits here, until the thread that runs `slow_clients` is told that the socket takes more.
///
/// A client gets one answer at a time. What it sends before it has the answer to its last request
/// (pipelining, RFC 9112, section 9.3.2) is discarded, and the connection is closed after the
/// answer. Who goes on sending is cut off.
class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(const std::shared_ptr<Pistache::Tcp::Peer>& peer, asio::io_context& slow_clients);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Called by the worker when `size` bytes arrive. False if they are to be discarded.
  bool accepts_input(std::size_t size);
  /// Called by the worker when a request is complete, before its handler starts. `close` if the
  /// connection is to be closed after the answer.
  void begin_request(bool close);
  /// Called by the worker before it closes the descriptor. From here on nothing is written.
  void mark_gone();

  /// Writes the answer to the request that is under way, from any thread, without waiting. Keeps
  /// `in_flight` alive until the kernel has the last byte or the client is gone.
  void answer(std::string bytes, std::shared_ptr<void> in_flight);

 private:
  struct Rest;

  void wait_until_writable();
  void send_rest();
  void finish_answer(int descriptor);

  std::mutex mutex_;
  std::weak_ptr<Pistache::Tcp::Peer> peer_;
  asio::io_context& slow_clients_;
  std::unique_ptr<Rest> rest_;
  bool gone_ = false;
  bool answering_ = false;
  bool closing_ = false;
  std::size_t discarded_ = 0;  ///< bytes
};

}  // namespace sessions
