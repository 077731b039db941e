// Firestore's emulator with a proxy in front of it that makes it fail.
#pragma once

#include <gtest/gtest.h>

#include <optional>

#include "firestore_emulator.hpp"
#include "firestore_fault_proxy.hpp"

namespace sessions::test {

/// A project and a proxy of the test's own. Where there is no emulator the test is skipped: then a
/// SetUp() that goes on from here has to return.
class BehindFaultProxy : public testing::Test {
 protected:
  void SetUp() override {
    if (!FirestoreEmulator::is_installed()) {
      return skip_for_lack_of("The Firestore emulator");
    }
    project_.emplace(FirestoreEmulator::shared());
    proxy_.emplace(FirestoreEmulator::shared());
  }

  std::optional<FirestoreProject> project_;
  std::optional<FirestoreFaultProxy> proxy_;
};

}  // namespace sessions::test
