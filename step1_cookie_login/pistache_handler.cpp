#include "pistache_handler.hpp"

#include <pistache/peer.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>

namespace sessions {
namespace {

namespace Http = Pistache::Http;
namespace Tcp = Pistache::Tcp;

/// What Pistache keeps for a client. It looks into a parser of its own for how long the client has
/// been idle, so that one is kept as a clock; nothing is parsed with it.
struct Client : Http::RequestParser {
  explicit Client(std::shared_ptr<Connection> its_connection)
      : Http::RequestParser{0}, connection{std::move(its_connection)} {}

  std::shared_ptr<Connection> connection;  ///< null if the client is refused
};

}  // namespace

void PistacheHandler::onConnection(const std::shared_ptr<Tcp::Peer>& peer) {
  std::shared_ptr<Connection> connection;
  try {
    if (server_->connections < server_->max_connections) {
      connection = std::make_shared<Connection>(peer->fd(), server_);
    }
  } catch (const std::exception& error) {
    spdlog::error(error.what());
  }
  if (!connection) {
    ::shutdown(peer->fd(), SHUT_RDWR);
  }
  // So it closes a connection that is silent for long, but answers none: a Connection does that.
  peer->setIdle(true);
  peer->putData(ParserData, std::make_shared<Client>(std::move(connection)));
}

void PistacheHandler::onDisconnection(const std::shared_ptr<Tcp::Peer>& peer) {
  if (const auto client = std::static_pointer_cast<Client>(getParser(peer)); client->connection) {
    client->connection->end_input();
  }
}

void PistacheHandler::onInput(const char* bytes, std::size_t size,
                              const std::shared_ptr<Tcp::Peer>& peer) {
  const auto client = std::static_pointer_cast<Client>(getParser(peer));
  client->reset();
  if (client->connection) {
    client->connection->receive({bytes, size});
  }
}

void PistacheHandler::onRequest(const Http::Request& /*request*/,
                                Http::ResponseWriter /*response*/) {}

}  // namespace sessions
