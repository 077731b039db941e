#include "http_reader.hpp"

#include <algorithm>
#include <charconv>

#include "http_message.hpp"

namespace sessions::inspector {
namespace {

constexpr std::size_t kMaxHead = 65536;  // as the steps have it
constexpr std::size_t kMaxLine = 4096;   // of the framing of chunks

template <typename Number>
std::optional<Number> number_in(std::string_view text, int base = 10) {
  Number number{};
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number, base);
  return result.ec == std::errc{} && result.ptr == text.data() + text.size() ? std::optional{number}
                                                                             : std::nullopt;
}

}  // namespace

std::optional<std::string> HttpMessage::header(std::string_view name) const {
  const auto all = all_headers(name);
  return all.empty() ? std::nullopt : std::optional{all.front()};
}

std::vector<std::string> HttpMessage::all_headers(std::string_view name) const {
  std::vector<std::string> values;
  for (const auto& [header, value] : headers) {
    if (equals_without_case(header, name)) {
      values.push_back(value);
    }
  }
  return values;
}

std::string HttpMessage::word(std::size_t n) const {
  std::string_view rest = first_line;
  for (; n > 0; --n) {
    rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
    if (rest.empty()) {
      return {};
    }
  }
  return std::string{rest.substr(0, rest.find(' '))};
}

int HttpMessage::status() const { return number_in<int>(word(1)).value_or(0); }

void HttpReader::feed(std::string_view bytes) {
  while (!bytes.empty()) {
    switch (state_) {
      case State::kHead:
        read_head(bytes);
        break;
      case State::kBody:
      case State::kUntilClose:
        read_body(bytes);
        break;
      case State::kChunkSize:
      case State::kChunkEnd:
      case State::kTrailer:
        read_chunk_line(bytes);
        break;
      case State::kNotHttp:
        events_.not_http(bytes);
        return;
    }
  }
}

void HttpReader::end() {
  if (state_ == State::kUntilClose) {
    finish();
  } else if (state_ == State::kHead && !message_.head.empty()) {
    give_up({});
  }
}

void HttpReader::read_head(std::string_view& bytes) {
  constexpr std::string_view kEnd = "\r\n\r\n";
  const auto before = message_.head.size();
  message_.head += bytes;
  const auto end = message_.head.find(kEnd, before - std::min(before, kEnd.size() - 1));
  if (end == std::string::npos) {
    bytes = {};
    const bool is_hopeless = static_cast<unsigned char>(message_.head.front()) >= 0x80 ||
                             message_.head.front() < ' ' || message_.head.size() > kMaxHead;
    if (is_hopeless) {
      give_up({});
    }
    return;
  }
  bytes.remove_prefix(end + kEnd.size() - before);
  message_.head.resize(end + kEnd.size());
  if (!parse_head()) {
    give_up(bytes);
    bytes = {};
    return;
  }
  begin_body();
}

bool HttpReader::parse_head() {
  std::string_view rest = message_.head;
  message_.first_line = cut_line(rest);
  while (!rest.empty()) {
    const auto [name, value] = parse_field_line(cut_line(rest));
    if (!name.empty()) {
      message_.headers.emplace_back(name, value);
    }
  }
  return message_.word(side_ == Side::kRequests ? 2 : 0).starts_with("HTTP/1.");
}

void HttpReader::begin_body() {
  const auto status = message_.status();
  const bool may_have_body =
      events_.begins(message_) &&
      (side_ == Side::kRequests || (status >= 200 && status != 204 && status != 304));
  constexpr std::string_view kChunked = "chunked";
  const auto coding = message_.header("Transfer-Encoding").value_or("");
  const auto length = message_.header("Content-Length");
  is_chunked_ = may_have_body && coding.size() >= kChunked.size() &&
                equals_without_case(coding.substr(coding.size() - kChunked.size()), kChunked);
  if (is_chunked_) {
    state_ = State::kChunkSize;
  } else if (status == 101 || (may_have_body && side_ == Side::kResponses && !length)) {
    state_ = State::kUntilClose;
  } else {
    remaining_ = may_have_body ? number_in<std::size_t>(length.value_or("0")).value_or(0) : 0;
    state_ = State::kBody;
    if (remaining_ == 0) {
      finish();
    }
  }
}

void HttpReader::read_body(std::string_view& bytes) {
  const auto part = bytes.substr(
      0, state_ == State::kUntilClose ? bytes.size() : std::min(remaining_, bytes.size()));
  bytes.remove_prefix(part.size());
  message_.body += part.substr(0, max_body_ - message_.body.size());
  message_.body_size += part.size();
  if (state_ == State::kUntilClose) {
    return;
  }
  remaining_ -= part.size();
  if (remaining_ == 0 && is_chunked_) {
    state_ = State::kChunkEnd;
  } else if (remaining_ == 0) {
    finish();
  }
}

void HttpReader::read_chunk_line(std::string_view& bytes) {
  const auto end = bytes.find('\n');
  line_ += bytes.substr(0, end);
  bytes.remove_prefix(end == std::string_view::npos ? bytes.size() : end + 1);
  if (end == std::string_view::npos) {
    if (line_.size() > kMaxLine) {
      give_up({});
    }
    return;
  }
  const auto line = std::string{without_blanks_around(line_.substr(0, line_.find('\r')))};
  line_.clear();
  if (state_ == State::kChunkEnd) {
    state_ = State::kChunkSize;
  } else if (state_ == State::kTrailer) {
    if (line.empty()) {
      finish();
    }
  } else if (const auto size = number_in<std::size_t>(line.substr(0, line.find(';')), 16)) {
    remaining_ = *size;
    state_ = *size == 0 ? State::kTrailer : State::kBody;
  } else {
    give_up(bytes);
    bytes = {};
  }
}

void HttpReader::finish() {
  state_ = State::kHead;
  events_.ends(std::exchange(message_, {}));
}

void HttpReader::give_up(std::string_view bytes) {
  state_ = State::kNotHttp;
  events_.not_http(message_.head + std::string{bytes});
  message_ = {};
}

}  // namespace sessions::inspector
