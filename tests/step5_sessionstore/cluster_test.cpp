// Sessions in a Redis Cluster whose slots move and whose nodes change their roles, under load.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/use_future.hpp>
#include <atomic>
#include <deque>
#include <functional>
#include <future>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "errors.hpp"
#include "event_loop.hpp"
#include "redis_cluster.hpp"
#include "redis_nodes.hpp"
#include "redis_session_store.hpp"
#include "store_under_test.hpp"
#include "wait_until.hpp"

namespace sessions::test {
namespace {

constexpr SessionLimits kLimits{.idle = seconds{600}, .absolute = seconds{3600}};
constexpr int kUsers = 40;
constexpr int kSessionsOfAUser = 5;
constexpr int kGuests = 8;

int slot_of_user(const std::string& username) {
  return static_cast<int>(slot_of(fmt::format("{{{}}}", tag_of(username))));
}

/// 200 sessions that are used all the time, beside 8 guests who log in, look at the list of their
/// sessions and log out, again and again. Anything but ServiceUnavailable ends the test.
class Load {
 public:
  struct Visited {
    explicit Visited(SessionToken its) : token{its} {}
    SessionToken token;
    std::atomic<int> acknowledged = 0;
    std::atomic<int> unavailable = 0;
    std::atomic<int> missing = 0;  ///< how often it was taken for no session
    std::atomic<bool> is_in_order = true;
    int goal = 0;  ///< for a test that waits for it
  };
  struct Guest {
    std::string name;
    std::atomic<int> stays = 0;
    std::atomic<int> revived = 0;  ///< sessions that were there after they had been destroyed
    std::vector<SessionToken> destroyed;
  };

  explicit Load(const RedisCluster& cluster)
      : store_{event_loop_, RedisUrl::parse("SESSION_STORE", cluster.url()), test_keys(), kLimits} {
    event_loop_.wait_for(log_in());
    for (int number = 0; number < kGuests; ++number) {
      guests_.emplace_back().name = fmt::format("guest{}", number);
    }
    for (auto& session : sessions_) {
      start(visit(session));
    }
    for (auto& guest : guests_) {
      start(come_and_go(guest));
    }
  }

  static std::set<int> slots() {
    std::set<int> slots;
    for (int number = 0; number < kUsers; ++number) {
      slots.insert(slot_of_user(fmt::format("user{}", number)));
    }
    for (int number = 0; number < kGuests; ++number) {
      slots.insert(slot_of_user(fmt::format("guest{}", number)));
    }
    return slots;
  }

  /// Waits until each session was incremented `number` times more.
  bool goes_on(int number = 10) { return have_more(sessions_, &Visited::acknowledged, number); }
  /// Waits until each guest has come and gone.
  bool guests_go_on() { return have_more(guests_, &Guest::stays, 1); }

  void stop() {
    is_stopping_ = true;
    for (auto& loop : std::exchange(loops_, {})) {
      EXPECT_NO_THROW(loop.get());
    }
  }

  /// After stop().
  int count_of(const Visited& session) {
    const auto fields = event_loop_.wait_for(store_.read(session.token));
    return fields ? std::stoi(fields->at("visits")) : -1;
  }
  bool is_alive(SessionToken token) { return event_loop_.wait_for(store_.read(token)).has_value(); }
  void end_all_of(const std::string& username) {
    event_loop_.wait_for(store_.destroy_all(username));
  }

  std::deque<Visited>& sessions() { return sessions_; }
  std::deque<Guest>& guests() { return guests_; }

 private:
  asio::awaitable<void> log_in() {
    for (int number = 0; number < kUsers * kSessionsOfAUser; ++number) {
      sessions_.emplace_back(co_await store_.create(fmt::format("user{}", number % kUsers)));
    }
  }

  /// Some thousand accesses a second are load enough: nodes and test share a machine.
  asio::awaitable<void> pause() {
    asio::steady_timer timer{event_loop_.context(), milliseconds{50}};
    co_await timer.async_wait(asio::use_awaitable);
  }

  asio::awaitable<void> visit(Visited& session) {
    for (int last = 0; !is_stopping_; co_await pause()) {
      try {
        const auto fields = co_await store_.increment(session.token, "visits", 1);
        const int count = fields ? std::stoi(fields->at("visits")) : 0;
        session.is_in_order = session.is_in_order && count > last;
        last = count;
        ++(fields ? session.acknowledged : session.missing);
      } catch (const ServiceUnavailable&) {
        ++session.unavailable;
      }
    }
  }

  // A login while its slot moves may be unavailable for a second.
  asio::awaitable<void> come_and_go(Guest& guest) {
    for (; !is_stopping_; co_await pause()) {
      try {
        const auto token = co_await store_.create(guest.name);
        co_await store_.increment(token, "visits", 1);
        co_await store_.list(guest.name);
        if (guest.stays % 4 == 3) {
          co_await store_.destroy_all(guest.name);
        } else {
          co_await store_.destroy(token);
        }
        guest.destroyed.push_back(token);
        if (co_await store_.increment(token, "visits", 1)) {
          ++guest.revived;
        }
        ++guest.stays;
      } catch (const ServiceUnavailable&) {
      }
    }
  }

  void start(asio::awaitable<void> loop) {
    loops_.push_back(asio::co_spawn(event_loop_.context(), std::move(loop), asio::use_future));
  }

  template <typename Loops, typename Count>
  static bool have_more(const Loops& loops, Count count, int number) {
    std::vector<int> goals;
    for (const auto& loop : loops) {
      goals.push_back(loop.*count + number);
    }
    return wait_until(
        [&] {
          return std::ranges::equal(loops, goals, std::greater_equal{},
                                    [=](const auto& loop) { return (loop.*count).load(); });
        },
        seconds{60});
  }

  EventLoop event_loop_;
  RedisSessionStore store_;
  std::deque<Visited> sessions_;
  std::deque<Guest> guests_;
  std::atomic<bool> is_stopping_ = false;
  std::vector<std::future<void>> loops_;
};

std::vector<std::string> keys_in(const RedisProcess& node, int slot) {
  std::istringstream lines{
      *node.command({"CLUSTER", "GETKEYSINSLOT", std::to_string(slot), "1000"})};
  std::vector<std::string> keys;
  for (std::string key; std::getline(lines, key);) {
    keys.push_back(key);
  }
  return keys;
}

TEST(Step5RedisCluster, PlannedChangesLoseNoIncrementAndReviveNoSession) {
  RedisCluster cluster{RedisCluster::Access::kOpen, std::chrono::seconds{10}};
  Load load{cluster};
  EXPECT_TRUE(load.goes_on());
  EXPECT_TRUE(load.guests_go_on());
  const auto slots_of = [&](const RedisProcess& node) {
    std::vector<int> slots;
    std::ranges::copy_if(Load::slots(), std::back_inserter(slots),
                         [&](int slot) { return &cluster.primary_of(slot) == &node; });
    return slots;
  };
  auto& to = cluster.primary_of(16383);
  auto& resharded = cluster.primary_of(0);
  for (const int slot : slots_of(resharded)) {
    cluster.move(slot, resharded, to);
  }
  EXPECT_TRUE(load.goes_on()) << "after a reshard";

  auto& from = cluster.primary_of(8000);
  const auto half_moved = slots_of(from);
  ASSERT_GE(half_moved.size(), 2U);
  for (const int slot : half_moved) {
    cluster.begin_to_move(slot, from, to);
  }
  EXPECT_TRUE(load.goes_on()) << "with slots that begin to move";
  for (std::size_t i = 0; i < half_moved.size(); i += 2) {
    cluster.move_keys(from, to, keys_in(from, half_moved[i]));
  }
  EXPECT_TRUE(load.goes_on()) << "with the keys of every other slot moved";
  for (const int slot : half_moved) {
    cluster.move_keys(from, to, keys_in(from, slot));
    cluster.end_move(slot, from, to);
  }
  EXPECT_TRUE(load.goes_on());
  EXPECT_TRUE(load.guests_go_on());

  cluster.fail_over(to);
  EXPECT_TRUE(load.goes_on()) << "after a planned failover";
  EXPECT_TRUE(load.guests_go_on());
  load.stop();
  for (const auto& session : load.sessions()) {
    EXPECT_EQ(session.missing, 0);
    EXPECT_TRUE(session.is_in_order);
    const int count = load.count_of(session);
    EXPECT_GE(count, session.acknowledged) << "an increment was lost";
    EXPECT_LE(count, session.acknowledged + session.unavailable) << "an increment counted twice";
  }
  for (const auto& guest : load.guests()) {
    EXPECT_EQ(guest.revived, 0) << guest.name;
    EXPECT_TRUE(std::ranges::none_of(guest.destroyed, [&](const auto& token) {
      return load.is_alive(token);
    })) << guest.name;
  }
}

TEST(Step5RedisCluster, KilledPrimaryCountsNothingTwiceAndRevivesNoSession) {
  RedisCluster cluster;
  Load load{cluster};
  EXPECT_TRUE(load.goes_on());
  const auto ended = load.sessions().front().token;
  auto& primary = cluster.primary_of(slot_of_user("user0"));
  load.end_all_of("user0");
  EXPECT_EQ(primary.command({"WAIT", "1", "20000"}), "1") << "the replica does not know of it";
  primary.kill();
  auto& sessions = load.sessions();
  for (auto& session : sessions) {
    session.goal = session.acknowledged + 10;
  }
  EXPECT_TRUE(wait_until(
      [&] {
        return std::ranges::all_of(sessions, [&](const auto& session) {
          return session.token.tag() == ended.tag() || session.acknowledged >= session.goal;
        });
      },
      seconds{60}))
      << "the replica has not taken over";
  load.stop();
  int unavailable = 0;
  for (const auto& session : sessions) {
    unavailable += session.unavailable;
    if (session.token.tag() == ended.tag()) {
      EXPECT_FALSE(load.is_alive(session.token));
    } else {
      EXPECT_EQ(session.missing, 0);
      EXPECT_LE(load.count_of(session), session.acknowledged + session.unavailable);
    }
  }
  EXPECT_GT(unavailable, 0) << "nobody has noticed";
}

}  // namespace
}  // namespace sessions::test
