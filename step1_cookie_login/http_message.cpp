#include "http_message.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <strings.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <ranges>
#include <stdexcept>

namespace sessions {
namespace {

constexpr std::string_view kBlanks = " \t";
constexpr std::string_view kEndOfLine = "\r\n";

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; });
}

/// The value of Date (RFC 9110, section 6.6.1). Each thread formats it once a second.
const std::string& date() {
  thread_local std::time_t second = 0;
  thread_local std::string text;
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  if (now != second) {
    text = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(now));
    second = now;
  }
  return text;
}

}  // namespace

std::optional<std::string> Request::header(std::string_view name) const {
  for (std::string_view rest = field_lines_; !rest.empty();) {
    const auto field = parse_field_line(cut_line(rest));
    if (equals_without_case(field.name, name)) {
      return std::string{field.value};
    }
  }
  return std::nullopt;
}

std::optional<std::string> Request::cookie(std::string_view name) const {
  for (std::string_view rest = field_lines_; !rest.empty();) {
    const auto field = parse_field_line(cut_line(rest));
    if (!equals_without_case(field.name, "Cookie")) {
      continue;  // a proxy may have split the cookies over several lines
    }
    for (const auto part : std::views::split(field.value, ';')) {
      const std::string_view pair{part.begin(), part.end()};
      const auto equals = pair.find('=');
      if (equals != std::string_view::npos &&
          without_blanks_around(pair.substr(0, equals)) == name) {
        return std::string{without_blanks_around(pair.substr(equals + 1))};
      }
    }
  }
  return std::nullopt;
}

void Response::add_header(std::string_view name, std::string_view value) {
  if (has_control_character(name) || has_control_character(value)) {
    throw std::invalid_argument{"a header must not contain control characters"};
  }
  header_lines_.append(name).append(": ").append(value).append(kEndOfLine);
}

std::string to_wire(const Response& response, bool with_body, bool keep_alive) {
  constexpr std::size_t kOtherBytes = 160;  // status line, Date, Content-Length, Connection
  const auto body = with_body ? std::string_view{response.body()} : std::string_view{};
  std::string bytes;
  bytes.reserve(response.standard_headers().size() + response.header_lines().size() + body.size() +
                kOtherBytes);
  bytes.append("HTTP/1.1 ").append(std::to_string(response.status())).append(" ");
  bytes.append(reason_phrase(response.status())).append("\r\nDate: ").append(date());
  bytes.append(kEndOfLine).append(response.standard_headers()).append(response.header_lines());
  if (response.status() != 204) {
    bytes.append("Content-Length: ").append(std::to_string(response.body().size()));
    bytes.append(kEndOfLine);
  }
  bytes.append(keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n");
  return bytes.append(body);
}

std::string_view reason_phrase(int status) {
  return Pistache::Http::codeString(static_cast<Pistache::Http::Code>(status));
}

std::string_view cut_line(std::string_view& lines) {
  const auto end = std::min(lines.find(kEndOfLine), lines.size());
  const auto line = lines.substr(0, end);
  lines.remove_prefix(std::min(end + kEndOfLine.size(), lines.size()));
  return line;
}

FieldLine parse_field_line(std::string_view line) {
  const auto colon = line.find(':');
  return colon == std::string_view::npos
             ? FieldLine{}
             : FieldLine{line.substr(0, colon), without_blanks_around(line.substr(colon + 1))};
}

std::string_view without_blanks_around(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

bool equals_without_case(std::string_view one, std::string_view other) {
  return one.size() == other.size() && ::strncasecmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace sessions
