#include <fmt/format.h>

#include <deque>

#include "taps.hpp"

namespace sessions::inspector {
namespace {

class FirestoreTap : public Tap {
 public:
  explicit FirestoreTap(Recorder& recorder)
      : recorder_{recorder}, connection_{recorder.new_connection()} {}

  void from_client(std::string_view bytes) override { requests_.feed(bytes); }
  void from_server(std::string& bytes) override { responses_.feed(bytes); }

  void server_closed() override {
    responses_.end();
    for (const auto call : waiting_) {
      recorder_.call_ends(call, "the connection was closed", true);
    }
    waiting_.clear();
  }

 private:
  // A call without a body is at its end where it begins; the others wait for what they say.
  void request(HttpMessage request) {
    begin("firestore", {request.word(0), request.word(1), std::move(request.body)});
  }

  void response(HttpMessage response) {
    if (waiting_.empty() || response.status() / 100 == 1) {
      return;
    }
    recorder_.call_ends(waiting_.front(), fmt::format("{} {}", response.status(), response.body),
                        response.status() >= 400);
    waiting_.pop_front();
  }

  void begin(std::string kind, std::vector<std::string> command) {
    StoreCall call;
    call.connection = connection_;
    call.kind = std::move(kind);
    call.command = std::move(command);
    waiting_.push_back(recorder_.call_begins(std::move(call)));
  }

  Recorder& recorder_;
  std::uint64_t connection_;
  std::deque<std::uint64_t> waiting_;  ///< for their answers
  HttpReader requests_{HttpReader::Side::kRequests,
                       {[](const HttpMessage&) { return true; },
                        [this](HttpMessage message) { request(std::move(message)); },
                        [this](std::string_view bytes) { begin("bytes", {printable(bytes)}); }}};
  HttpReader responses_{
      HttpReader::Side::kResponses,
      {[](const HttpMessage&) { return true; },
       [this](HttpMessage message) { response(std::move(message)); }, [](std::string_view) {}}};
};

}  // namespace

std::unique_ptr<Tap> tap_firestore(Recorder& recorder) {
  return std::make_unique<FirestoreTap>(recorder);
}

}  // namespace sessions::inspector
