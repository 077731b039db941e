#include <fmt/format.h>

#include "taps.hpp"

namespace sessions::inspector {
namespace {

class FirestoreTap : public StoreTap {
 public:
  using StoreTap::StoreTap;

  void from_client(std::string_view bytes) override { requests_.feed(bytes); }
  void from_server(std::string& bytes) override { responses_.feed(bytes); }

  void server_closed() override {
    responses_.end();
    StoreTap::server_closed();
  }

 private:
  // A call without a body is at its end where it begins; the others wait for what they say.
  void request(HttpMessage request) {
    begin("firestore", {request.word(0), request.word(1), std::move(request.body)});
  }

  void response(HttpMessage response) {
    if (response.status() / 100 != 1) {
      end(fmt::format("{} {}", response.status(), response.body), response.status() >= 400);
    }
  }

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
