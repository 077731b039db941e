// Response isolation: whoever asks gets the answer to that, or none.

#include <fmt/format.h>
#include <pistache/http.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <random>
#include <thread>

#include "connection.hpp"
#include "raw_connection.hpp"
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

/// Both ends of a connection, of which the server's is known to Pistache as `peer`.
class PeerAndClient {
 public:
  PeerAndClient() {
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends_.data()) != 0) {
      throw std::system_error{errno, std::generic_category(), "socketpair"};
    }
    peer = Pistache::Tcp::Peer::Create(ends_[0], Pistache::Address{});
  }
  ~PeerAndClient() {
    peer.reset();
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  PeerAndClient(const PeerAndClient&) = delete;
  PeerAndClient& operator=(const PeerAndClient&) = delete;

  std::string received_by_client() const {
    std::array<char, 1024> bytes{};
    const auto size = ::recv(ends_[1], bytes.data(), bytes.size(), MSG_DONTWAIT);
    return size <= 0 ? "" : std::string{bytes.data(), static_cast<std::size_t>(size)};
  }

  std::shared_ptr<Pistache::Tcp::Peer> peer;

 private:
  std::array<int, 2> ends_{};
};

// The moment in which the worker closes the descriptor while the peer still exists is too short to
// be hit reliably over HTTP.
TEST(Step3ResponseIsolationOfConnection, NothingIsWrittenToADescriptorThatMayBelongToSomebodyElse) {
  PeerAndClient ends;
  asio::io_context slow_clients;
  const auto connection = std::make_shared<Connection>(ends.peer, slow_clients);
  connection->begin_request(false);
  connection->answer("first", nullptr);
  EXPECT_EQ(ends.received_by_client(), "first");
  connection->begin_request(false);
  connection->mark_gone();
  connection->answer("second", nullptr);
  EXPECT_EQ(ends.received_by_client(), "");
}

}  // namespace
}  // namespace sessions::test
