// From the bytes of a connection to its requests.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "http_message.hpp"

namespace sessions {

/// The largest request, header section and body together, in bytes.
inline constexpr std::size_t kMaxRequestBytes = std::size_t{64} * 1024;

/// A request, and whether the client wants to send another one after it.
struct NextRequest {
  Request request;
  bool keep_alive;
};

/// Keeps what has come and is not served yet, and decides where each request ends.
///
/// That is decided once, when the header section is complete, by rules that leave no choice: where
/// a server and a proxy in front of it see different ends, the rest of one request becomes a second
/// one that the proxy has never checked (request smuggling, RFC 9112, section 11.2). Pistache's own
/// parser is lax, and starts from the first byte with every packet.
class RequestParser {
 public:
  void feed(std::string_view bytes) { bytes_ += bytes; }
  /// The next request, or nothing while it is incomplete. Throws HttpError if there will never be
  /// one: 413 if it is larger than kMaxRequestBytes, 411 if its body comes in chunks, otherwise
  /// 400. Then nobody can know where another one begins.
  std::optional<NextRequest> next();
  /// The bytes that next() has not returned.
  std::size_t waiting_bytes() const { return bytes_.size(); }
  /// True, once for each request, if the client waits to be told that it may send the body
  /// (`Expect: 100-continue`, RFC 9110, section 10.1.1).
  bool must_invite_body() { return std::exchange(must_invite_body_, false); }

 private:
  bool find_section();
  void forget(std::size_t count);

  std::string bytes_;
  std::size_t searched_bytes_ = 0;  ///< no header section ends in these
  std::size_t section_bytes_ = 0;   ///< of the header section, once it is complete
  std::size_t body_bytes_ = 0;
  bool must_invite_body_ = false;
};

}  // namespace sessions
