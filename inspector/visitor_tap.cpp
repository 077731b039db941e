#include <fmt/format.h>

#include <deque>

#include "taps.hpp"

namespace sessions::inspector {
namespace {

class VisitorTap : public Tap {
 public:
  VisitorTap(Recorder& recorder, std::string server)
      : recorder_{recorder}, server_{std::move(server)}, connection_{recorder.new_connection()} {}

  void from_client(std::string_view bytes) override { requests_.feed(bytes); }

  void from_server(std::string& bytes) override {
    plant_into(bytes);
    responses_.feed(bytes);
  }

  void server_closed() override {
    responses_.end();
    requests_.end();
    recorder_.connection_closed(connection_);
  }

  std::string apology() const override {
    const auto text =
        fmt::format("The inspector cannot reach the server at {}. Is it running?\n", server_);
    return fmt::format(
        "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain; charset=utf-8\r\n"
        "Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        text.size(), text);
  }

 private:
  bool request_begins(const HttpMessage& head) {
    under_way_.push_back({recorder_.request_begins(connection_, head), head.word(0) == "HEAD"});
    return true;
  }

  void request_ends(HttpMessage request) {
    if (!under_way_.empty()) {  // the answer may have come before the request's end
      recorder_.request_ends(under_way_.back().exchange, std::move(request));
    }
  }

  void request_is_bytes(std::string_view bytes) {
    under_way_.push_back({recorder_.not_a_request(connection_, bytes), false});
  }

  bool response_begins(const HttpMessage& head) {
    if (under_way_.empty() || is_interim(head)) {
      return false;
    }
    recorder_.response_begins(under_way_.front().exchange, head);
    return !under_way_.front().is_head;
  }

  void response_ends(HttpMessage response) {
    if (!under_way_.empty() && !is_interim(response)) {
      recorder_.response_ends(under_way_.front().exchange, std::move(response));
      under_way_.pop_front();
    }
  }

  void response_is_bytes(std::string_view bytes) {
    HttpMessage response;
    response.head = printable(bytes);
    response_ends(std::move(response));
  }

  /// Such as 100 (Continue): another answer follows (RFC 9110, section 15.2).
  static bool is_interim(const HttpMessage& response) {
    return response.status() / 100 == 1 && response.status() != 101;
  }

  /// Adds a planted cookie to an answer that begins with these bytes.
  void plant_into(std::string& bytes) {
    const auto end_of_line = bytes.find("\r\n");
    if (!under_way_.empty() && bytes.starts_with("HTTP/1.") && end_of_line != std::string::npos) {
      bytes.insert(end_of_line, recorder_.take_plant(under_way_.front().exchange));
    }
  }

  struct UnderWay {
    std::uint64_t exchange;
    bool is_head;
  };

  Recorder& recorder_;
  std::string server_;
  std::uint64_t connection_;
  std::deque<UnderWay> under_way_;
  HttpReader requests_{HttpReader::Side::kRequests,
                       {[this](const HttpMessage& head) { return request_begins(head); },
                        [this](HttpMessage request) { request_ends(std::move(request)); },
                        [this](std::string_view bytes) { request_is_bytes(bytes); }}};
  HttpReader responses_{HttpReader::Side::kResponses,
                        {[this](const HttpMessage& head) { return response_begins(head); },
                         [this](HttpMessage response) { response_ends(std::move(response)); },
                         [this](std::string_view bytes) { response_is_bytes(bytes); }}};
};

}  // namespace

std::unique_ptr<Tap> tap_visitor(Recorder& recorder, const std::string& server) {
  return std::make_unique<VisitorTap>(recorder, server);
}

}  // namespace sessions::inspector
