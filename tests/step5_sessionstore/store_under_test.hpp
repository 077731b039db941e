// The three stores, with whatever each needs to run.
#pragma once

#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "event_loop.hpp"
#include "firestore_emulator.hpp"
#include "process.hpp"
#include "redis_process.hpp"
#include "server_process.hpp"
#include "session_store.hpp"
#include "session_token.hpp"
#include "signing_key.hpp"

namespace sessions::test {

enum class StoreKind { kMemory, kRedis, kFirestore };

/// Names the kind in the names of tests.
std::string name_of(StoreKind kind);
inline void PrintTo(StoreKind kind, std::ostream* out) { *out << name_of(kind); }

/// The key of ServerProcess, and no other one.
inline const std::vector<std::string> kTestSecrets{std::string{kTestKey}};

std::vector<SigningKey> test_keys(const std::vector<std::string>& secrets = kTestSecrets);
/// The tag of a user, made with the first of them.
std::string tag_of(std::string_view username);

/// A store's server, if it has one: private to one test.
class StoreUnderTest {
 public:
  explicit StoreUnderTest(StoreKind kind);

  /// Ends the current test if the machine lacks what the store needs.
  static void skip_unless_installed(StoreKind kind);

  StoreKind kind() const { return kind_; }
  /// The settings that make step 5 use this store.
  Environment environment() const;
  /// A store in this process, whose keys have these secrets.
  std::unique_ptr<SessionStore> make(EventLoop& event_loop, SessionLimits limits,
                                     const std::vector<std::string>& secrets = kTestSecrets) const;

  /// Null unless this is Redis.
  RedisProcess* redis() const { return redis_.get(); }
  /// Both null unless this is Firestore.
  const FirestoreEmulator* emulator() const { return emulator_; }
  FirestoreProject* project() const { return project_.get(); }

 private:
  StoreKind kind_;
  std::unique_ptr<RedisProcess> redis_;
  const FirestoreEmulator* emulator_ = nullptr;
  std::unique_ptr<FirestoreProject> project_;
};

}  // namespace sessions::test
