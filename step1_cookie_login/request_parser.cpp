#include "request_parser.hpp"

#include <algorithm>
#include <memory>
#include <string_view>

namespace sessions {
namespace {

namespace Http = Pistache::Http;

constexpr std::size_t kMaxRequestBytes = std::size_t{64} * 1024;
constexpr std::size_t kBodyStep = 2;
constexpr std::string_view kEmptyLine = "\r\n\r\n";

bool is_whole_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// Pistache reserves memory for the length that a client announces, before it has the bytes, and
/// its decoder of chunked bodies loses bytes at the borders of packets: refuse both before they
/// matter. It also takes a length that is not a number for 0.
class BoundedBody : public Http::Private::BodyStep {
 public:
  BoundedBody(Http::Request* request, bool& more_input)
      : BodyStep{request}, more_input_{more_input} {}

  Http::Private::State apply(Pistache::StreamCursor& cursor) override {
    const auto length = message->headers().tryGet<Http::Header::ContentLength>();
    if (message->headers().tryGet<Http::Header::TransferEncoding>()) {
      raise("The request's body needs a Content-Length.", Http::Code::Length_Required);
    }
    if (length && !is_whole_number(message->headers().getRaw("Content-Length").value())) {
      raise("The length of the request's body is not a whole number.");
    }
    if (length && length->value() > kMaxRequestBytes) {
      raise("The request is larger than 64 KiB.", Http::Code::Request_Entity_Too_Large);
    }
    const auto state = BodyStep::apply(cursor);
    more_input_ = cursor.remaining() > 0;
    return state;
  }

 private:
  bool& more_input_;
};

}  // namespace

RequestParser::RequestParser() : Http::RequestParser{kMaxRequestBytes} {
  allSteps[kBodyStep] = std::make_unique<BoundedBody>(&request, more_input_);
}

bool RequestParser::complete_with(const char* bytes, std::size_t size) {
  if (!feed(bytes, size)) {
    throw Http::HttpError{Http::Code::Request_Entity_Too_Large,
                          "The request is larger than 64 KiB."};
  }
  const bool is_complete = parse() == Http::Private::State::Done;
  if (!is_complete && currentStep < kBodyStep && ends_header_section({bytes, size})) {
    throw Http::HttpError{Http::Code::Bad_Request, "The header section is malformed."};
  }
  return is_complete;
}

void RequestParser::reset() {
  Http::RequestParser::reset();
  last_bytes_.clear();
}

bool RequestParser::ends_header_section(std::string_view bytes) {
  last_bytes_ += bytes;  // the empty line may arrive in pieces
  const bool has_ended = last_bytes_.find(kEmptyLine) != std::string::npos;
  last_bytes_.erase(0, last_bytes_.size() - std::min(last_bytes_.size(), kEmptyLine.size() - 1));
  return has_ended;
}

}  // namespace sessions
