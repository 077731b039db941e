#include "request_parser.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <ranges>

#include "errors.hpp"

namespace sessions {
namespace {

constexpr std::string_view kEmptyLine = "\r\n\r\n";
constexpr std::string_view kDigits = "0123456789";
constexpr std::string_view kTokenMarks = "!#$%&'*+-.^_`|~";
constexpr std::string_view kAuthorityMarks = "-._~%!$&'()*+,;=:[]";

[[noreturn]] void refuse_as_malformed() { throw HttpError{400, "The request is malformed."}; }

[[noreturn]] void refuse_as_too_large() {
  throw HttpError{413, "The request is larger than 64 KiB."};
}

void require(bool is_well_formed) {
  if (!is_well_formed) {
    refuse_as_malformed();
  }
}

/// tchar of RFC 9110, section 5.6.2.
bool is_token_character(unsigned char byte) {
  return std::isalnum(byte) != 0 || kTokenMarks.find(static_cast<char>(byte)) != std::string::npos;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_token_character);
}

/// RFC 9110, section 5.5: no control character but the tab.
bool is_field_value(std::string_view text) {
  return std::ranges::all_of(
      text, [](unsigned char byte) { return (byte >= ' ' && byte != 0x7f) || byte == '\t'; });
}

/// A host with or without a port, in the characters that RFC 3986, section 3.2.2, allows.
bool is_authority(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char byte) {
    return std::isalnum(byte) != 0 ||
           kAuthorityMarks.find(static_cast<char>(byte)) != std::string::npos;
  });
}

bool has_option(std::string_view list, std::string_view option) {
  return std::ranges::any_of(std::views::split(list, ','), [option](const auto part) {
    return equals_without_case(without_blanks_around({part.begin(), part.end()}), option);
  });
}

std::size_t whole_number(std::string_view text) {
  require(!text.empty() && text.find_first_not_of(kDigits) == std::string_view::npos);
  std::size_t number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) {
    refuse_as_too_large();
  }
  return number;
}

/// A header section that has passed the check. The views are of its bytes.
struct Head {
  std::string_view method;
  std::string_view target;
  std::string_view authority;  ///< of a target in absolute form
  std::string_view field_lines;
  std::size_t body_bytes = 0;
  bool is_http_1_1 = false;
  bool keep_alive = false;
  bool expects_continue = false;
};

/// RFC 9112, section 3.
void check_request_line(std::string_view line, Head& head) {
  const auto first = line.find(' ');
  const auto last = line.rfind(' ');
  require(first != last);
  head.method = line.substr(0, first);
  head.target = line.substr(first + 1, last - first - 1);
  const auto version = line.substr(last + 1);
  head.is_http_1_1 = version == "HTTP/1.1";
  require(head.is_http_1_1 || version == "HTTP/1.0");
  require(is_token(head.method) && is_field_value(head.target) &&
          head.target.find_first_of(" \t") == std::string_view::npos);
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (equals_without_case(head.target.substr(0, scheme.size()), scheme)) {
      head.target.remove_prefix(scheme.size());
      const auto end = std::min(head.target.find_first_of("/?"), head.target.size());
      head.authority = head.target.substr(0, end);
      require(!head.authority.empty() && is_authority(head.authority));
      head.target.remove_prefix(end);
      if (!head.target.starts_with('/')) {
        head.target = "/";  // a query does not change the path
      }
    }
  }
  require(head.target.starts_with('/') || (head.target == "*" && head.method == "OPTIONS"));
}

/// RFC 9112, sections 5 and 6.
Head checked(std::string_view section) {
  Head head;
  check_request_line(cut_line(section), head);
  section.remove_suffix(kEmptyLine.size() / 2);
  head.field_lines = section;
  head.keep_alive = head.is_http_1_1;
  int hosts = 0;
  int lengths = 0;
  bool has_encoding = false;
  while (!section.empty()) {
    const auto field = parse_field_line(cut_line(section));
    require(is_token(field.name) && is_field_value(field.value));
    if (equals_without_case(field.name, "Host")) {
      ++hosts;
      require(is_authority(field.value));
    } else if (equals_without_case(field.name, "Content-Length")) {
      ++lengths;
      head.body_bytes = whole_number(field.value);
    } else if (equals_without_case(field.name, "Transfer-Encoding")) {
      has_encoding = true;
    } else if (equals_without_case(field.name, "Connection")) {
      head.keep_alive = !has_option(field.value, "close") &&
                        (head.keep_alive || has_option(field.value, "keep-alive"));
    } else if (equals_without_case(field.name, "Expect")) {
      head.expects_continue = head.is_http_1_1 && equals_without_case(field.value, "100-continue");
    }
  }
  require(hosts == 1 || (hosts == 0 && !head.is_http_1_1));
  require(lengths <= 1 && (!has_encoding || (lengths == 0 && head.is_http_1_1)));
  // No browser sends a form in chunks, and proxies can send the length: not worth a decoder, where
  // most of the known attacks by smuggling begin.
  if (has_encoding) {
    throw HttpError{411, "The request's body needs a Content-Length."};
  }
  return head;
}

Method method_named(std::string_view name) {
  constexpr std::array kMethods{Method::Get,     Method::Post,  Method::Head,
                                Method::Options, Method::Put,   Method::Patch,
                                Method::Delete,  Method::Trace, Method::Connect};
  const auto* found = std::ranges::find(kMethods, name, Pistache::Http::methodString);
  require(found != kMethods.end());
  return *found;
}

}  // namespace

std::optional<NextRequest> RequestParser::next() {
  std::optional<Head> head;
  if (section_bytes_ == 0) {
    if (!find_section()) {
      return std::nullopt;
    }
    head = checked(std::string_view{bytes_}.substr(0, section_bytes_));
    body_bytes_ = head->body_bytes;
    if (body_bytes_ > kMaxRequestBytes - section_bytes_) {
      refuse_as_too_large();
    }
    must_invite_body_ = head->expects_continue && bytes_.size() == section_bytes_;
  }
  const auto all_bytes = section_bytes_ + body_bytes_;
  if (bytes_.size() < all_bytes) {
    return std::nullopt;
  }
  if (!head) {
    head = checked(std::string_view{bytes_}.substr(0, section_bytes_));
  }
  // A target in absolute form says which host is meant, whatever Host says (section 3.2.2).
  auto field_lines =
      head->authority.empty() ? std::string{} : "Host: " + std::string{head->authority} + "\r\n";
  field_lines += head->field_lines;
  NextRequest next{
      {method_named(head->method), std::string{head->target.substr(0, head->target.find('?'))},
       std::move(field_lines), bytes_.substr(section_bytes_, body_bytes_)},
      head->keep_alive};
  must_invite_body_ = false;
  forget(all_bytes);
  return next;
}

/// Looks for the end of the header section, in the bytes that it has not seen.
bool RequestParser::find_section() {
  if (searched_bytes_ == 0 && bytes_.starts_with('\r')) {
    // An empty line or several before a request are to be ignored (RFC 9112, section 2.2).
    std::size_t empty = 0;
    while (std::string_view{bytes_}.substr(empty).starts_with("\r\n")) {
      empty += 2;
    }
    forget(empty);
  }
  const auto end = bytes_.find(kEmptyLine, searched_bytes_);
  if (end == std::string::npos) {
    searched_bytes_ = bytes_.size() - std::min(bytes_.size(), kEmptyLine.size() - 1);
    if (bytes_.size() > kMaxRequestBytes) {
      refuse_as_too_large();
    }
    return false;
  }
  section_bytes_ = end + kEmptyLine.size();
  if (section_bytes_ > kMaxRequestBytes) {
    refuse_as_too_large();
  }
  return true;
}

void RequestParser::forget(std::size_t count) {
  constexpr std::size_t kKeptCapacity = 4096;  // idle connections should cost little
  if (count == bytes_.size() && bytes_.capacity() > kKeptCapacity) {
    bytes_ = {};
  } else {
    bytes_.erase(0, count);
  }
  searched_bytes_ = 0;
  section_bytes_ = 0;
  body_bytes_ = 0;
}

}  // namespace sessions
