// What a handler gets, a Request, and what it returns, a Response.
#pragma once

#include <pistache/http.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sessions {

using Method = Pistache::Http::Method;

/// A request as it came from the client. Nothing in it can be trusted.
///
/// It copies what a handler may ask for: a handler can end on another thread, and to free there all
/// that Pistache's parser has allocated here would cost more.
class Request {
 public:
  explicit Request(const Pistache::Http::Request& request);

  Method method() const { return method_; }
  /// The path as sent, not percent-decoded, without the query.
  const std::string& path() const { return path_; }
  const std::string& body() const { return body_; }
  /// A header's value; names are compared without regard to case.
  std::optional<std::string> header(const std::string& name) const;
  /// The value of the first cookie of this name: browsers send the most specific one first
  /// (RFC 6265, section 5.4).
  std::optional<std::string> cookie(std::string_view name) const;

 private:
  Method method_;
  std::string path_;
  std::string body_;
  std::vector<Pistache::Http::Header::Raw> headers_;
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

/// An answer. The server adds the headers that are its own business, such as the length.
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

/// The words that go with a status code, such as "Not Found" (RFC 9110, section 15).
std::string_view reason_phrase(int status);

/// ASCII letters in lower case, the rest as it is: media types and connection options are compared
/// without regard to case.
std::string lower_case(std::string text);

}  // namespace sessions
