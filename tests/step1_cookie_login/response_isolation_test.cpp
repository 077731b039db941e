// Response isolation: whoever asks gets the answer to that, or none.

#include <fmt/format.h>

#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>
#include <map>
#include <random>
#include <thread>

#include "raw_connection.hpp"
#include "server_in_process.hpp"
#include "step_test.hpp"

namespace sessions::test {
namespace {

class Step3ResponseIsolation : public StepTest {
 protected:
  Step3ResponseIsolation() : StepTest{"step3_ttl", Store::kRedis} {}
};

struct User {
  std::string name;
  std::string request;
};

struct Tally {
  std::atomic<int> aborts = 0;
  std::atomic<int> answers = 0;
  std::atomic<int> wrong_answers = 0;
};

std::vector<User> logged_in_users(const std::string& url, int count) {
  HttpClient client{url};
  std::vector<User> users;
  for (int number = 0; number < count; ++number) {
    const auto name = fmt::format("user-{}-", number);
    const auto cookie = logged_in_cookie(client, name);
    users.push_back({name, request_text("GET", "/", "Cookie: session=" + cookie + "\r\n")});
  }
  return users;
}

/// Sends a request on each of several connections, aborts half of them at random moments and reads
/// the answers of the others. The descriptors of the aborted ones are those of the next round.
void visit_and_abort(const std::string& url, const std::vector<User>& users, unsigned int seed,
                     Clock::time_point end, Tally& tally) {
  constexpr std::size_t kConnections = 16;
  std::mt19937 random{seed};
  const auto up_to = [&random](std::size_t highest) {
    return std::uniform_int_distribution<std::size_t>{0, highest}(random);
  };
  while (Clock::now() < end) {
    std::vector<std::pair<std::unique_ptr<RawConnection>, const User*>> visits;
    for (std::size_t number = 0; number < kConnections; ++number) {
      const auto& user = users[up_to(users.size() - 1)];
      visits.emplace_back(std::make_unique<RawConnection>(url), &user);
      visits.back().first->send(user.request);
      if (up_to(3) != 0) {
        continue;
      }
      // One that is under way, or the one just sent.
      auto& victim = visits[up_to(1) == 0 ? number : up_to(number)].first;
      if (victim) {
        const auto pause = Clock::now() + std::chrono::microseconds{up_to(150)};
        while (Clock::now() < pause) {
        }
        if (up_to(1) == 0) {
          victim->abort();
        }
        victim.reset();
        ++tally.aborts;
      }
    }
    for (auto& [connection, user] : visits) {
      if (!connection) {
        continue;
      }
      if (up_to(3) == 0) {
        connection->abort();
        ++tally.aborts;
        continue;
      }
      const auto response = connection->read_response();
      const auto surplus = connection->read_for(milliseconds{0});
      ++tally.answers;
      if (!response.contains("Logged in as " + user->name) || !surplus.empty()) {
        ++tally.wrong_answers;
      }
    }
  }
}

TEST_F(Step3ResponseIsolation, NobodyGetsTheAnswerOfAnAbortedRequest) {
  constexpr unsigned int kThreads = 4;
  ServerProcess busy{step(), environment(), {"--threads", "2"}};
  const auto users = logged_in_users(busy.url(), 64);
  const auto end = Clock::now() + seconds{8};
  Tally tally;
  {
    std::vector<std::jthread> clients;
    for (unsigned int number = 0; number < kThreads; ++number) {
      clients.emplace_back([&, number] {
        try {
          visit_and_abort(busy.url(), users, number, end, tally);
        } catch (const std::exception& error) {
          ADD_FAILURE() << error.what();
        }
      });
    }
  }
  const auto result =
      fmt::format("{} wrong answers of {} beside {} aborts", tally.wrong_answers.load(),
                  tally.answers.load(), tally.aborts.load());
  std::cout << result << '\n';
  EXPECT_EQ(tally.wrong_answers, 0) << result;
  EXPECT_GT(tally.aborts, 1000);
  EXPECT_GT(tally.answers, 1000);
}

// Pistache closes a connection that has been idle for its limit, here a second, also while its
// client waits for a slow store, and the next client gets the number.
TEST(Step3ResponseIsolationOfConnection, NobodyGetsTheAnswerThatAClosedConnectionWaitsFor) {
  constexpr int kClients = 200;
  constexpr int kAnswers = 500 / kSlowdown;
  ServerInProcess* running = nullptr;
  ServerInProcess server{[&running](Request request) -> asio::awaitable<sessions::Response> {
                           const auto name = request.header("X-Name").value_or("");
                           asio::steady_timer store{
                               running->event_loop().context(),
                               milliseconds{std::stoi(request.header("X-Wait").value_or("0"))}};
                           co_await store.async_wait(asio::use_awaitable);
                           co_return sessions::Response{200, "for " + name + '.'};
                         },
                         {.threads = 2, .keep_alive = seconds{1}}};
  running = &server;
  std::mt19937 random{20261124};
  const auto up_to = [&random](int highest) {
    return std::uniform_int_distribution<int>{0, highest}(random);
  };
  int answers = 0;
  int wrong = 0;
  int name = 0;
  const auto deadline = Clock::now() + seconds{60};
  std::map<int, std::unique_ptr<RawConnection>> waiting;
  while (answers < kAnswers && Clock::now() < deadline) {
    while (waiting.size() < kClients) {
      auto& connection = waiting[++name];
      connection = std::make_unique<RawConnection>(server.url());
      connection->send(
          request_text("GET", "/", fmt::format("X-Name: {}\r\nX-Wait: {}\r\n", name, up_to(3000))));
    }
    std::erase_if(waiting, [&](auto& client) {
      const auto received = client.second->read_for(milliseconds{0});
      if (!received.empty()) {
        ++answers;
        wrong += received.ends_with(fmt::format("for {}.", client.first)) ? 0 : 1;
        return true;
      }
      return up_to(100) == 0 || client.second->is_closed_by_server();
    });
  }
  std::cout << fmt::format("{} wrong answers of {}\n", wrong, answers);
  EXPECT_EQ(wrong, 0);
  EXPECT_GE(answers, kAnswers);
}

}  // namespace
}  // namespace sessions::test
