// How a server ends while a store is slow, and how it behaves when it has no descriptor left.

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <thread>
#include <vector>

#include "raw_connection.hpp"
#include "step_test.hpp"
#include "wait_until.hpp"

namespace sessions::test {
namespace {

class Step3Draining : public StepTest {
 protected:
  Step3Draining() : StepTest{"step3_ttl", Store::kRedis} {}

  /// What the server uses of the processors in this time.
  static milliseconds used_within(milliseconds time, ServerProcess& server) {
    const auto before = server.process().processor_time();
    std::this_thread::sleep_for(time);
    return server.process().processor_time() - before;
  }
  static bool refuses_clients(const ServerProcess& server) {
    try {
      const RawConnection client{server.url(), RawConnection::Reader::kFast, milliseconds{100}};
      return false;
    } catch (const std::system_error&) {
      return true;
    }
  }
};

// A request that waits for Redis is in flight when the server is told to stop.
TEST_F(Step3Draining, FinishesWhatIsInFlightAndDoesNotSpin) {
  HttpClient client{server().url()};
  const auto cookie = "Cookie: session=" + logged_in_cookie(client, "alice") + "\r\n";
  client.get("/", {{"Cookie", cookie.substr(8, cookie.size() - 10)}});
  redis().command({"CLIENT", "PAUSE", "800"});
  RawConnection visit{server().url()};
  visit.send(request_text("GET", "/", cookie));
  // One worker may still have to read it. Nobody can see when it has.
  EXPECT_EQ(visit.read_for(milliseconds{50}), "");
  server().process().signal(SIGTERM);
  EXPECT_TRUE(wait_until([&] { return refuses_clients(server()); }));
  EXPECT_LT(used_within(milliseconds{300}, server()), milliseconds{100});
  EXPECT_EQ(visits_in(visit.read_response()), 2);
  EXPECT_EQ(server().process().wait_for_exit(), 0);
}

// Whoever is connected, and be it only in the kernel's queue, has been promised an answer. A load
// balancer that gets none must not ask another server, for it cannot know what has happened.
TEST_F(Step3Draining, NobodyWhoIsConnectedIsLost) {
  constexpr int kRestarts = 10;
  constexpr int kClients = 16;
  std::atomic<int> lost = 0;
  const auto request = request_text("GET", "/login", "Connection: close\r\n");
  for (int restart = 0; restart < kRestarts; ++restart) {
    ServerProcess stopped{step(), environment(), {"--threads", "2"}};
    std::atomic<int> answered = 0;
    {
      std::vector<std::jthread> clients;
      for (int number = 0; number < kClients; ++number) {
        clients.emplace_back([&] {
          try {
            while (true) {
              RawConnection visit{stopped.url(), RawConnection::Reader::kFast, milliseconds{100}};
              try {
                visit.send(request);
                visit.read_response();
                ++answered;
              } catch (const std::runtime_error&) {
                ++lost;
              }
            }
          } catch (const std::system_error&) {
            // not accepted: the server ends
          }
        });
      }
      EXPECT_TRUE(wait_until([&] { return answered > 20 * kClients; }, seconds{60}));
      stopped.process().signal(SIGTERM);
    }
    EXPECT_EQ(stopped.process().wait_for_exit(), 0);
  }
  EXPECT_EQ(lost, 0);
}

TEST_F(Step3Draining, FullServerServesWhoIsConnectedAndStopsAsUsual) {
  ServerProcess full{step(), environment(), {"--threads", "2"}, {"prlimit", "--nofile=100:100"}};
  HttpClient client{full.url()};
  const auto cookie = "Cookie: session=" + logged_in_cookie(client, "alice") + "\r\n";
  RawConnection visit{full.url()};
  visit.send(request_text("GET", "/", cookie));
  EXPECT_EQ(visits_in(visit.read_response()), 1);
  std::vector<std::unique_ptr<RawConnection>> idle;
  for (int number = 0; number < 150; ++number) {
    idle.push_back(std::make_unique<RawConnection>(full.url()));
  }
  // A client takes two of the hundred descriptors. Which clients get them is a matter of chance.
  EXPECT_TRUE(wait_until([&] {
    return std::ranges::count_if(idle, [](const auto& connection) {
             return connection->is_closed_by_server();
           }) >= 100;
  }));
  EXPECT_LT(used_within(milliseconds{300}, full), milliseconds{100});
  redis().command({"CLIENT", "PAUSE", "500"});
  visit.send(request_text("GET", "/", cookie));
  EXPECT_EQ(visit.read_for(milliseconds{50}), "");
  full.process().signal(SIGTERM);
  EXPECT_EQ(visits_in(visit.read_response()), 2);
  EXPECT_EQ(full.process().wait_for_exit(), 0);
}

TEST_F(Step3Draining, CheckEndsAtOnceWhenItIsInterrupted) {
  redis().freeze();
  auto settings = environment();
  settings["SECRET_KEY"] = kTestKey;
  Process check{{program_of(step()), "--check"}, settings};
  // Its event loop has some, so it has begun.
  EXPECT_TRUE(wait_until([&] { return check.open_descriptors() > 6; }));
  check.signal(SIGINT);
  EXPECT_EQ(check.wait_for_exit(), 128 + SIGINT);
}

}  // namespace
}  // namespace sessions::test
