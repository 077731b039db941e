// The servers behind one Redis URL: one, or the nodes of a cluster.
#pragma once

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "redis_connection.hpp"

namespace sessions {

/// The slot of a key: what lies between the first { and the next }, unless that is nothing, else
/// all of it, in CRC-16/XMODEM, modulo 16,384
/// (https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model).
std::size_t slot_of(std::string_view key);

/// Sends each command to the server that has its key. Asks at start which server has which slots;
/// one that is no cluster answers with an error and gets all commands. A cluster corrects what has
/// changed since: it redirects commands instead of executing them. Lives on the event loop.
class RedisNodes : public std::enable_shared_from_this<RedisNodes> {
 public:
  /// `seed` is any node of the cluster; all have its user, password and TLS.
  RedisNodes(asio::io_context& event_loop, RedisUrl seed);

  /// May be called on any thread; continues on the event loop. Throws ServiceUnavailable if Redis
  /// cannot be reached or cannot answer now, RedisError if it refuses the command.
  asio::awaitable<RedisReply> execute(RedisCommand::Arguments arguments);
  /// Closes the connections for good, fails all commands, and waits until they have.
  asio::awaitable<void> stop();

 private:
  using Node = std::shared_ptr<RedisConnection>;

  /// An empty host, or ?, means that of the server that said it.
  Node named_by(const RedisConnection& from, std::string_view host, std::string_view port);
  const Node& node_for(const RedisCommand& command) const;
  /// Where a command has to go instead; null if it has to wait.
  Node redirect(const RedisConnection& from, RedisCommand& command, const RedisError& error);
  void refresh_soon();
  asio::awaitable<void> refresh();
  void adopt(const RedisConnection& from, const RedisReply& reply);

  asio::io_context& event_loop_;
  const Node seed_;
  std::map<std::string, Node> nodes_;  ///< by their URLs without password
  std::vector<Node> slots_;            ///< empty without a cluster
  bool is_refreshing_ = false;
  bool has_asked_ = false;
  bool is_stopped_ = false;
};

}  // namespace sessions
