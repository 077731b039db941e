// A client that asks for a long page and reads it slowly, or not to its end. The server has one
// worker thread, so whatever holds up the one client holds up all.

#include <csignal>

#include "raw_connection.hpp"
#include "step_test.hpp"

namespace sessions::test {
namespace {

constexpr int kSessions = 10'000;
constexpr std::size_t kPageBytes = kSessions * 70;  // at least: each session is a line
// So few that what the sockets then hold is far less than the rest.
constexpr std::size_t kReadBytes = 16'000;

class Step5SlowReader : public testing::Test {
 protected:
  Step5SlowReader() {
    HttpClient client{server_.url()};
    for (int number = 0; number < kSessions; ++number) {
      cookie_ = logged_in_cookie(client, "alice");
    }
  }

  ServerProcess& server() { return server_; }
  std::string long_request() const {
    return request_text("GET", "/sessions", "Cookie: session=" + cookie_ + "\r\n");
  }
  /// A client that has asked for the long page, has read some of it and then reads no more.
  std::unique_ptr<RawConnection> slow_reader() const {
    auto reader = std::make_unique<RawConnection>(server_.url(), RawConnection::Reader::kSlow);
    reader->send(long_request());
    reader->wait_for_bytes(kReadBytes);
    return reader;
  }
  static void expect_complete(const Response& response) {
    EXPECT_EQ(response.status, 200);
    EXPECT_GT(response.body.size(), kPageBytes);
    EXPECT_THAT(response.body, testing::StartsWith("<!DOCTYPE html>"));
    EXPECT_THAT(response.body, testing::EndsWith("</html>\n"));
  }

 private:
  ServerProcess server_{"step5_sessionstore", {{"SESSION_TTL", "600"}}, {"--threads", "1"}};
  std::string cookie_;
};

TEST_F(Step5SlowReader, GetsTheWholePageAndHoldsUpNobody) {
  const auto reader = slow_reader();
  HttpClient other{server().url()};
  const auto before = Clock::now();
  for (int request = 0; request < 20; ++request) {
    EXPECT_EQ(other.get("/").status, 200);
  }
  EXPECT_LT(Clock::now() - before, seconds{2} * kSlowdown);
  expect_complete(reader->read_response());
  reader->send(long_request());
  expect_complete(reader->read_response());
}

TEST_F(Step5SlowReader, IsNotAnsweredBetweenTwoHalvesOfAPage) {
  const auto reader = slow_reader();
  reader->send(request_text("GET", "/"));
  // When the next client has its answer, the one worker has read that request.
  EXPECT_EQ(HttpClient{server().url()}.get("/").status, 200);
  expect_complete(reader->read_response());
  EXPECT_EQ(reader->read_to_end(), "");
}

TEST_F(Step5SlowReader, ThatLeavesInTheMiddleDoesNoHarm) {
  constexpr int kReaders = 100;
  HttpClient login{server().url()};
  const auto short_request =
      request_text("GET", "/", "Cookie: session=" + logged_in_cookie(login, "bob") + "\r\n");
  std::size_t resident_bytes = 0;
  for (int number = 1; number <= kReaders; ++number) {
    auto leaving = slow_reader();
    if (number % 2 == 0) {
      leaving->abort();
    }
    leaving.reset();
    // The descriptor of the one is that of the next.
    RawConnection next{server().url()};
    next.send(short_request);
    const auto page = next.read_response();
    EXPECT_EQ(visits_in(page), number);
    EXPECT_TRUE(page.contains("Logged in as bob"));
    EXPECT_EQ(next.read_for(milliseconds{0}), "");
    if (number == kReaders / 5) {
      resident_bytes = server().process().resident_bytes();
    }
  }
  EXPECT_LT(server().process().resident_bytes(), resident_bytes + kReaders * kPageBytes / 3);
}

TEST_F(Step5SlowReader, GetsTheWholePageThoughTheServerIsAskedToStop) {
  const auto reader = slow_reader();
  server().process().signal(SIGTERM);
  EXPECT_TRUE(wait_until([&] {
    try {
      const RawConnection refused{server().url()};
      return false;
    } catch (const std::system_error&) {
      return true;
    }
  }));
  expect_complete(reader->read_response());
  EXPECT_EQ(server().process().wait_for_exit(), 0);
}

}  // namespace
}  // namespace sessions::test
