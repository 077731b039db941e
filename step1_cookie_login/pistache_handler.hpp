// The glue: what Pistache calls when a client connects, sends and leaves.
#pragma once

#include <pistache/http.h>

#include <memory>

#include "connection.hpp"

namespace sessions {

/// Makes a Connection for each client. Pistache copies the handler for each worker thread.
class PistacheHandler : public Pistache::Http::Handler {
 public:
  HTTP_PROTOTYPE(PistacheHandler)

  explicit PistacheHandler(std::shared_ptr<ServerState> server) : server_{std::move(server)} {}

 private:
  void onConnection(const std::shared_ptr<Pistache::Tcp::Peer>& peer) override;
  void onDisconnection(const std::shared_ptr<Pistache::Tcp::Peer>& peer) override;
  /// Replaces Pistache's own, which parses and answers.
  void onInput(const char* bytes, std::size_t size,
               const std::shared_ptr<Pistache::Tcp::Peer>& peer) override;
  void onRequest(const Pistache::Http::Request& request,
                 Pistache::Http::ResponseWriter response) override;

  std::shared_ptr<ServerState> server_;
};

}  // namespace sessions
