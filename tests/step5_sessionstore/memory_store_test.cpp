// What can only happen to sessions in memory, and when they are purged.

#include <gtest/gtest.h>

#include <array>
#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
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
#include "store_under_test.hpp"
#include "wait_until.hpp"

namespace sessions::test {
namespace {

TEST(Step5MemoryStore, SaysAtStartThatItIsForOneProcess) {
  const ServerProcess server{"step5_sessionstore"};
  EXPECT_TRUE(server.logs("for one process"));
}

TEST(Step5MemoryStore, ExpiredSessionsLeaveNoMemory) {
  constexpr int kSessions = 100'000 / (kSlowdown * kSlowdown);  // sanitizers are slow
  EventLoop event_loop;
  MemorySessionStore store{test_keys(), {.idle = milliseconds{1}, .absolute = seconds{60}}};
  const auto create_and_purge = [&]() -> asio::awaitable<void> {
    for (int i = 0; i < kSessions; ++i) {
      co_await store.create(std::to_string(i));
    }
    // The last one expires last.
    while ((co_await store.list(std::to_string(kSessions - 1))).count > 0) {
    }
    co_await store.purge();
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
  // What the first round left, which the allocator keeps, serves the next four.
  EXPECT_LT(resident_pages(), after_first + after_first / 4 + 1024);
}

TEST(Step5MemoryStore, ThreadsLoseNoIncrement) {
  constexpr int kIncrements = 10'000;
  MemorySessionStore store{test_keys(), {.idle = seconds{60}, .absolute = seconds{600}}};
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

class StoreThatFailsToPurgeOnce : public MemorySessionStore {
 public:
  using MemorySessionStore::MemorySessionStore;

  asio::awaitable<bool> purge() override {
    if (++purges == 1) {
      throw ServiceUnavailable{"the store is away for a moment"};
    }
    return MemorySessionStore::purge();
  }

  std::atomic<int> purges = 0;
};

TEST(Step5BackgroundPurge, GoesOnAfterAFailure) {
  EventLoop event_loop;
  StoreThatFailsToPurgeOnce store{test_keys(), {.idle = seconds{60}, .absolute = seconds{600}}};
  const BackgroundPurge purge{event_loop, store, milliseconds{10}};
  EXPECT_TRUE(wait_until([&] { return store.purges > 2; }));
}

/// Each call takes a moment, and there is always more.
class StoreThatIsNeverPurged : public MemorySessionStore {
 public:
  using MemorySessionStore::MemorySessionStore;

  asio::awaitable<bool> purge() override {
    ++purges;
    asio::steady_timer timer{co_await asio::this_coro::executor, milliseconds{5}};
    co_await timer.async_wait(asio::use_awaitable);
    co_return true;
  }

  std::atomic<int> purges = 0;
};

TEST(Step5BackgroundPurge, GoesOnWhileThereIsMoreAndEndsBetweenTwoCalls) {
  EventLoop event_loop;
  StoreThatIsNeverPurged store{test_keys(), {.idle = seconds{60}, .absolute = seconds{600}}};
  const auto start = Clock::now();
  {
    const BackgroundPurge purge{event_loop, store, milliseconds{1}};
    EXPECT_TRUE(wait_until([&] { return store.purges > 10; }));
  }
  EXPECT_LT(Clock::now() - start, seconds{10} * kSlowdown);
}

}  // namespace
}  // namespace sessions::test
