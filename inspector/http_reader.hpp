// Finds the messages in a stream of HTTP/1.1 that passes by.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sessions::inspector {

/// A request or a response. Of long ones only the beginning is kept.
struct HttpMessage {
  std::string first_line;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string head;           ///< as sent, up to the empty line
  std::string body;           ///< without the framing of chunks; the beginning of it
  std::size_t body_size = 0;  ///< how many bytes there were

  /// The first header of that name, compared without regard to case.
  std::optional<std::string> header(std::string_view name) const;
  std::vector<std::string> all_headers(std::string_view name) const;
  /// The n-th word of the first line, from 0 on; empty if there is none.
  std::string word(std::size_t n) const;
  /// The number in the first line of a response.
  int status() const;
};

/// Reads one direction of a connection (RFC 9112). It is lenient, because it only looks on: what it
/// cannot understand is reported as bytes, and so is all that follows on that connection.
class HttpReader {
 public:
  enum class Side { kRequests, kResponses };
  static constexpr std::size_t kMaxBody = 8192;

  struct Events {
    /// The head is there. Returns false if no body follows, whatever it says: to HEAD.
    std::function<bool(const HttpMessage&)> begins;
    std::function<void(HttpMessage)> ends;
    std::function<void(std::string_view)> not_http;
  };

  /// Of each body at most `max_body` bytes are kept.
  HttpReader(Side side, Events events, std::size_t max_body = kMaxBody)
      : side_{side}, events_{std::move(events)}, max_body_{max_body} {}

  void feed(std::string_view bytes);
  /// The connection was closed: that ends a body without a length.
  void end();

 private:
  enum class State { kHead, kBody, kUntilClose, kChunkSize, kChunkEnd, kTrailer, kNotHttp };

  void read_head(std::string_view& bytes);
  bool parse_head();
  void begin_body();
  void read_body(std::string_view& bytes);
  void read_chunk_line(std::string_view& bytes);
  void finish();
  void give_up(std::string_view bytes);

  Side side_;
  Events events_;
  std::size_t max_body_;
  State state_ = State::kHead;
  HttpMessage message_;
  std::string line_;           ///< of the framing of chunks, until it is complete
  std::size_t remaining_ = 0;  ///< bytes of the body or of the chunk
  bool is_chunked_ = false;
};

}  // namespace sessions::inspector
