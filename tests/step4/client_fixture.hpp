// What the tests of the Firestore client stand on.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend.hpp"
#include "firestore_client.hpp"
#include "firestore_emulator.hpp"
#include "firestore_fault_proxy.hpp"
#include "google_credentials.hpp"

namespace sessions::test {

/// A client behind a fault proxy.
class Step4Client : public testing::Test {
 protected:
  void SetUp() override {
    if (!FirestoreEmulator::is_installed()) {
      return skip_for_lack_of("The Firestore emulator");
    }
    project_.emplace(FirestoreEmulator::shared());
    proxy_.emplace(FirestoreEmulator::shared());
    client_.emplace(backend_, FirestoreDatabase{proxy_->url(), project_->id(),
                                                std::make_shared<EmulatorOwner>()});
  }

  template <typename Result>
  Result wait_for(asio::awaitable<Result> call) {
    return backend_.wait_for(std::move(call));
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

  Backend backend_;
  std::optional<FirestoreProject> project_;
  std::optional<FirestoreFaultProxy> proxy_;
  std::optional<FirestoreClient> client_;
};

}  // namespace sessions::test
