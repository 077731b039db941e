// Passes the bytes of connections on, and lets a tap see them.
#pragma once

#include <asio/io_context.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace sessions::inspector {

/// Sees the bytes of one connection, in both directions, before they go on. Is called on the event
/// loop only.
class Tap {
 public:
  virtual ~Tap() = default;
  virtual void from_client(std::string_view bytes) = 0;
  /// May change them.
  virtual void from_server(std::string& bytes) = 0;
  /// The server sends no more.
  virtual void server_closed() = 0;
  /// What a client is told when the server cannot be reached.
  virtual std::string apology() const { return {}; }
};

struct TcpAddress {
  std::string host;
  std::uint16_t port = 0;

  /// host:port; an IPv6 address in brackets.
  std::string text() const;
  /// Throws SettingError, which names `setting`, unless `text` is host:port with a host of this
  /// machine, or `anywhere` is allowed.
  static TcpAddress parse(std::string_view setting, std::string_view text, bool anywhere);
};

/// Listens on 127.0.0.1 and connects each client to `target`, with a tap of its own. With `tls` it
/// speaks TLS to the target, and not to the client. It lives on the event loop and as long as it.
/// Returns the port. Throws SettingError, which names `setting`, if it cannot listen on `port` (0:
/// any) or does not know the target's name.
std::uint16_t start_relay(asio::io_context& event_loop, std::string_view setting,
                          std::uint16_t port, const TcpAddress& target,
                          std::function<std::unique_ptr<Tap>()> make_tap, bool tls = false);

}  // namespace sessions::inspector
