#include "store_under_test.hpp"

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

StoreUnderTest::StoreUnderTest(StoreKind kind) : kind_{kind} {
  if (kind == StoreKind::kRedis) {
    redis_ = std::make_unique<RedisProcess>();
  }
}

void StoreUnderTest::skip_unless_installed(StoreKind kind) {
  if (kind == StoreKind::kRedis && !RedisProcess::is_installed()) {
    skip_for_lack_of("redis-server");
  }
}

Environment StoreUnderTest::environment() const {
  switch (kind_) {
    case StoreKind::kRedis:
      return {{"SESSION_STORE", redis_->url()}};
    default:
      return {{"SESSION_STORE", "memory:"}};
  }
}

std::unique_ptr<SessionStore> StoreUnderTest::make(Backend& backend,
                                                   SessionLifetime lifetime) const {
  if (kind_ == StoreKind::kRedis) {
    return std::make_unique<RedisSessionStore>(
        backend, RedisUrl::parse("SESSION_STORE", redis_->url()), lifetime);
  }
  return std::make_unique<MemorySessionStore>(lifetime);
}

}  // namespace sessions::test
