// What can only happen to sessions in memory, and when they are purged.

#include <gtest/gtest.h>

#include <array>
#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <atomic>
#include <fstream>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "background_purge.hpp"
#include "errors.hpp"
#include "http_client.hpp"
#include "memory_session_store.hpp"
#include "server_process.hpp"
#include "wait_until.hpp"

namespace sessions::test {
namespace {

TEST(Step5MemoryStore, SaysAtStartThatItIsForOneProcess) {
  const ServerProcess server{"step5_sessionstore"};
  EXPECT_TRUE(server.logs("for one process"));
}

TEST(Step5MemoryStore, ExpiredSessionsLeaveNoMemory) {
  constexpr int kSessions = 100'000;
  EventLoop event_loop;
  MemorySessionStore store{{.idle = milliseconds{1}, .absolute = seconds{60}}};
  const auto create_and_purge = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < kSessions; ++i) {
      co_await store.create("alice");
    }
    while (store.size() > 0) {
      co_await store.purge();
    }
  };
  const auto resident_pages = [] {
    std::ifstream statm{"/proc/self/statm"};
    std::size_t size = 0;
    std::size_t resident = 0;
    statm >> size >> resident;
    return resident;
  };
  event_loop.wait_for(create_and_purge());
  const auto after_first = resident_pages();
  for (int round = 0; round < 4; ++round) {
    event_loop.wait_for(create_and_purge());
  }
  // What the first 100,000 left, which the allocator keeps, serves the next 400,000.
  EXPECT_LT(resident_pages(), after_first + after_first / 4 + 1024);
}

TEST(Step5MemoryStore, ThreadsLoseNoIncrement) {
  constexpr int kIncrements = 10'000;
  MemorySessionStore store{{.idle = seconds{60}, .absolute = seconds{600}}};
  std::optional<SessionToken> token;
  const auto create = [&]() -> asio::awaitable<void> { token = co_await store.create("alice"); };
  const auto increment_often = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < kIncrements; ++i) {
      co_await store.increment(*token, "visits", 1);
    }
  };
  std::array<EventLoop, 4> threads;
  threads[0].wait_for(create());
  std::vector<std::future<void>> increments;
  for (auto& thread : threads) {
    increments.push_back(asio::co_spawn(thread.context(), increment_often(), asio::use_future));
  }
  for (auto& increment : increments) {
    increment.get();
  }
  const auto fields = threads[0].wait_for(store.read(*token));
  EXPECT_EQ(fields.value().at("visits"), std::to_string(threads.size() * kIncrements));
}

TEST(Step5MemoryStore, ServerPurgesByItself) {
  ServerProcess server{"step5_sessionstore", {{"SESSION_TTL", "1"}}};
  HttpClient client{server.url()};
  const auto log_in_often = [&] {
    for (int i = 0; i < 20'000; ++i) {
      ASSERT_EQ(client.post("/login", "username=" + std::string(200, 'a')).status, 302);
    }
  };
  log_in_often();
  const auto after_first = server.process().resident_bytes();
  log_in_often();
  log_in_often();
  // 40,000 more records of some 600 bytes would be 24 MB.
  EXPECT_LT(server.process().resident_bytes(), after_first + 8'000'000U * kSlowdown);
}

class StoreThatFailsToPurgeOnce : public MemorySessionStore {
 public:
  using MemorySessionStore::MemorySessionStore;

  asio::awaitable<void> purge() override {
    if (++purges == 1) {
      throw ServiceUnavailable{"the store is away for a moment"};
    }
    co_await MemorySessionStore::purge();
  }

  std::atomic<int> purges = 0;
};

TEST(Step5BackgroundPurge, GoesOnAfterAFailure) {
  EventLoop event_loop;
  StoreThatFailsToPurgeOnce store{{.idle = seconds{60}, .absolute = seconds{600}}};
  const BackgroundPurge purge{event_loop, store, milliseconds{10}};
  EXPECT_TRUE(wait_until([&] { return store.purges > 2; }));
}

}  // namespace
}  // namespace sessions::test
