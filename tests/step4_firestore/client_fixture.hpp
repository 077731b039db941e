// What the tests of the Firestore client stand on.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "behind_fault_proxy.hpp"
#include "event_loop.hpp"
#include "firestore_client.hpp"
#include "google_credentials.hpp"

namespace sessions::test {

/// A client behind a fault proxy.
class Step4Client : public BehindFaultProxy {
 protected:
  void prepare() override {
    client_.emplace(event_loop_, FirestoreDatabase{proxy_->url(), project_->id()});
  }

  template <typename Result>
  Result wait_for(asio::awaitable<Result> call) {
    return event_loop_.wait_for(std::move(call));
  }

  void write(FirestoreWrite write) {
    std::vector<FirestoreWrite> writes{std::move(write)};
    wait_for(client_->commit(std::move(writes)));
  }

  /// The status of the FirestoreError that `call` throws.
  template <typename Call>
  static std::string refusal(Call call) {
    try {
      call();
    } catch (const FirestoreError& error) {
      return error.status();
    }
    return "none";
  }

  EventLoop event_loop_;
  std::optional<FirestoreClient> client_;
};

}  // namespace sessions::test
