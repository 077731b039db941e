#include "http_message.hpp"

#include <strings.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <ranges>
#include <stdexcept>

namespace sessions {
namespace {

std::string_view without_spaces_around(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) {
    return {};
  }
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

bool has_control_character(std::string_view text) {
  return std::ranges::any_of(text, [](unsigned char byte) { return byte < 0x20 || byte == 0x7f; });
}

}  // namespace

Request::Request(const Pistache::Http::Request& request)
    : method_{request.method()}, path_{request.resource()}, body_{request.body()} {
  const auto& headers = request.headers().rawList();
  headers_.reserve(headers.size());
  std::ranges::copy(headers | std::views::values, std::back_inserter(headers_));
}

std::optional<std::string> Request::header(const std::string& name) const {
  const auto found = std::ranges::find_if(headers_, [&](const auto& header) {
    return ::strcasecmp(header.name().c_str(), name.c_str()) == 0;
  });
  return found == headers_.end() ? std::nullopt : std::optional{found->value()};
}

std::optional<std::string> Request::cookie(std::string_view name) const {
  // Pistache's cookie jar is a hash map and has lost the order.
  const auto cookies = header("Cookie").value_or("");
  std::string_view rest = cookies;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(';'), rest.size());
    const auto pair = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    const auto equals = pair.find('=');
    if (equals != std::string_view::npos && without_spaces_around(pair.substr(0, equals)) == name) {
      return std::string{without_spaces_around(pair.substr(equals + 1))};
    }
  }
  return std::nullopt;
}

void Response::add_header(std::string_view name, std::string_view value) {
  if (has_control_character(name) || has_control_character(value)) {
    throw std::invalid_argument{"a header must not contain control characters"};
  }
  header_lines_.append(name).append(": ").append(value).append("\r\n");
}

std::string_view reason_phrase(int status) {
  return Pistache::Http::codeString(static_cast<Pistache::Http::Code>(status));
}

std::string lower_case(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char letter) { return std::tolower(letter); });
  return text;
}

}  // namespace sessions
