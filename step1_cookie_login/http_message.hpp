// What a handler gets, a Request, and what it returns, a Response.
#pragma once

#include <pistache/http_defs.h>

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace sessions {

using Method = Pistache::Http::Method;

/// A request as it came from the client. Nothing in it can be trusted.
class Request {
 public:
  /// `field_lines` are the header lines, well-formed and each ended by CRLF.
  Request(Method method, std::string path, std::string field_lines, std::string body)
      : method_{method},
        path_{std::move(path)},
        field_lines_{std::move(field_lines)},
        body_{std::move(body)} {}

  Method method() const { return method_; }
  /// The path as sent, not percent-decoded, without the query.
  const std::string& path() const { return path_; }
  const std::string& body() const { return body_; }
  /// A header's value; names are compared without regard to case.
  std::optional<std::string> header(std::string_view name) const;
  /// The value of the first cookie of this name: browsers send the most specific one first
  /// (RFC 6265, section 5.4). A part of the header without `=` is no cookie.
  std::optional<std::string> cookie(std::string_view name) const;

 private:
  Method method_;
  std::string path_;
  std::string field_lines_;  ///< a step reads two or three, so they are searched, not stored apart
  std::string body_;
};

/// The headers that every page has, as lines.
inline constexpr std::string_view kPageHeaders =
    "Content-Type: text/html; charset=utf-8\r\n"
    "Cache-Control: no-store\r\n"
    "Vary: Cookie\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'none'; style-src "
    "'sha256-tt0F2r6rb9O0hsjJYUJarlXsMxTLTcw59ZIl5SVbAyg='; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n";

/// What the client gets. The server adds the headers that are its own business, such as the length.
class Response {
 public:
  Response() = default;
  /// `body` is a complete HTML document or empty; `status` an HTTP status code. What is not a page
  /// has other `standard_headers`, a constant.
  Response(int status, std::string body, std::string_view standard_headers = kPageHeaders)
      : status_{status}, body_{std::move(body)}, standard_headers_{standard_headers} {}

  /// Throws std::invalid_argument if the name or the value could break out of its line.
  void add_header(std::string_view name, std::string_view value);

  int status() const { return status_; }
  const std::string& body() const { return body_; }
  std::string_view standard_headers() const { return standard_headers_; }
  /// The added headers as lines, each ended by CRLF.
  const std::string& header_lines() const { return header_lines_; }

 private:
  int status_ = 200;
  std::string body_;
  std::string_view standard_headers_ = kPageHeaders;
  std::string header_lines_;
};

/// The response as it goes over the wire, `with_body` unless it answers HEAD, which announces the
/// length of a body that does not follow (RFC 9110, section 9.3.2).
std::string to_wire(const Response& response, bool with_body, bool keep_alive);

/// The words that go with a status code, such as "Not Found" (RFC 9110, section 15).
std::string_view reason_phrase(int status);

/// A header line: `Name: value`, without the blanks around the value.
struct FieldLine {
  std::string_view name;
  std::string_view value;
};

/// Cuts the first line off `lines` and returns it without its CRLF.
std::string_view cut_line(std::string_view& lines);
/// Takes a line apart at its first colon. Without one, the name is empty.
FieldLine parse_field_line(std::string_view line);
/// Takes the spaces and tabs off both ends.
std::string_view without_blanks_around(std::string_view text);
/// Compares as header names, media types and connection options are: ASCII letters are the same in
/// upper and lower case.
bool equals_without_case(std::string_view one, std::string_view other);

}  // namespace sessions
