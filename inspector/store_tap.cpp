#include "taps.hpp"

namespace sessions::inspector {

void StoreTap::server_closed() {
  while (!waiting_.empty()) {
    end("the connection was closed", true);
  }
}

void StoreTap::begin(std::string kind, std::vector<std::string> command, std::string node) {
  StoreCall call;
  call.node = std::move(node);
  call.kind = std::move(kind);
  call.command = std::move(command);
  waiting_.push_back(recorder_.call_begins(std::move(call)));
}

void StoreTap::end(std::string reply, bool has_failed) {
  if (!waiting_.empty()) {
    recorder_.call_ends(waiting_.front(), std::move(reply), has_failed);
    waiting_.pop_front();
  }
}

}  // namespace sessions::inspector
