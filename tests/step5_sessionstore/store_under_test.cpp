#include "store_under_test.hpp"

#include "firestore_session_store.hpp"
#include "memory_session_store.hpp"
#include "redis_session_store.hpp"

namespace sessions::test {

std::string name_of(StoreKind kind) {
  switch (kind) {
    case StoreKind::kMemory:
      return "Memory";
    case StoreKind::kRedis:
      return "Redis";
    case StoreKind::kFirestore:
      return "Firestore";
  }
  return "Unknown";
}

std::vector<SigningKey> test_keys(const std::vector<std::string>& secrets) {
  return {secrets.begin(), secrets.end()};
}

std::string tag_of(std::string_view username) { return user_tag(test_keys().front(), username); }

StoreUnderTest::StoreUnderTest(StoreKind kind) : kind_{kind} {
  if (kind == StoreKind::kRedis) {
    redis_ = std::make_unique<RedisProcess>();
  } else if (kind == StoreKind::kFirestore) {
    emulator_ = &FirestoreEmulator::shared();
    project_ = std::make_unique<FirestoreProject>(*emulator_);
  }
}

void StoreUnderTest::skip_unless_installed(StoreKind kind) {
  if (kind == StoreKind::kRedis && !RedisProcess::is_installed()) {
    skip_for_lack_of("redis-server");
  }
  if (kind == StoreKind::kFirestore && !FirestoreEmulator::is_installed()) {
    skip_for_lack_of("The Firestore emulator");
  }
}

Environment StoreUnderTest::environment() const {
  if (redis_) {
    return {{"SESSION_STORE", redis_->url()}};
  }
  if (project_) {
    auto environment = project_->environment();
    environment["SESSION_STORE"] = "firestore:";
    return environment;
  }
  return {{"SESSION_STORE", "memory:"}};
}

std::unique_ptr<SessionStore> StoreUnderTest::make(EventLoop& event_loop, SessionLimits limits,
                                                   const std::vector<std::string>& secrets) const {
  if (redis_) {
    return std::make_unique<RedisSessionStore>(
        event_loop, RedisUrl::parse("SESSION_STORE", redis_->url()), test_keys(secrets), limits);
  }
  if (project_) {
    return std::make_unique<FirestoreSessionStore>(
        event_loop, FirestoreDatabase{"http://" + emulator_->host(), project_->id()},
        test_keys(secrets), limits);
  }
  return std::make_unique<MemorySessionStore>(test_keys(secrets), limits);
}

}  // namespace sessions::test
