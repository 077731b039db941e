// Pistache's parser of HTTP requests, made safe against what clients may send.
#pragma once

#include <pistache/http.h>

#include <cstddef>
#include <string>
#include <string_view>

namespace sessions {

/// Pistache's parser with a bounded body. It also refuses what Pistache would wait on: a first line
/// or a header that is not one, though an empty line has already ended the header section.
class RequestParser : public Pistache::Http::RequestParser {
 public:
  RequestParser();

  /// True once a request is complete. Throws Pistache::Http::HttpError if there will never be one:
  /// 413 if it is larger than 64 KiB, 411 if its body comes in chunks, otherwise 400.
  bool complete_with(const char* bytes, std::size_t size);

  void reset() override;

  /// True if the client sent more than one request at once.
  bool has_more_input() const { return more_input_; }

 private:
  bool ends_header_section(std::string_view bytes);

  bool more_input_ = false;
  std::string last_bytes_;
};

}  // namespace sessions
