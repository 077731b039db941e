// A client that asks for a long page and reads it slowly, or not to its end. The server has one
// worker thread, so whatever holds up the one client holds up all.

#include <csignal>

#include "raw_connection.hpp"
#include "step_test.hpp"

namespace sessions::test {
namespace {

constexpr std::size_t kPageBytes = 1'000'000;
// So few that what the sockets then hold is far less than the rest.
constexpr std::size_t kReadBytes = 16'000;

class Step1SlowReader : public testing::Test {
 protected:
  ServerProcess& server() { return server_; }
  static std::string long_request() { return request_text("GET", "/long"); }
  /// A client that has asked for the long page, has read some of it and then reads no more.
  std::unique_ptr<RawConnection> slow_reader() const {
    auto reader = std::make_unique<RawConnection>(server_.url(), RawConnection::Reader::kSlow);
    reader->send(long_request());
    reader->wait_for_bytes(kReadBytes);
    return reader;
  }
  static void expect_complete(const Response& response) {
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, std::string(kPageBytes, '.'));
  }

 private:
  ServerProcess server_{"long_page", {}, {"--threads", "1"}};
};

TEST_F(Step1SlowReader, GetsTheWholePageAndHoldsUpNobody) {
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

TEST_F(Step1SlowReader, IsNotAnsweredBetweenTwoHalvesOfAPage) {
  const auto reader = slow_reader();
  reader->send(request_text("GET", "/"));
  // When the next client has its answer, the one worker has read that request.
  EXPECT_EQ(HttpClient{server().url()}.get("/").status, 200);
  expect_complete(reader->read_response());
  EXPECT_EQ(reader->read_response().status, 200) << "and then the other page";
}

TEST_F(Step1SlowReader, ThatLeavesInTheMiddleDoesNoHarm) {
  constexpr int kReaders = 200;
  std::size_t resident_bytes = 0;
  for (int number = 1; number <= kReaders; ++number) {
    auto leaving = slow_reader();
    if (number % 2 == 0) {
      leaving->abort();
    }
    leaving.reset();
    // The descriptor of the one is that of the next.
    RawConnection next{server().url()};
    const auto name = std::to_string(number);
    next.send(request_text("GET", "/", "Cookie: name=" + name + "\r\n"));
    EXPECT_EQ(next.read_response().body, name);
    EXPECT_EQ(next.read_for(milliseconds{0}), "");
    if (number == kReaders / 5) {
      resident_bytes = server().process().resident_bytes();
    }
  }
  // On a busy machine the pages of those who have just left are still there.
  EXPECT_TRUE(wait_until([&] {
    return server().process().resident_bytes() < resident_bytes + kReaders * kPageBytes / 3;
  })) << server().process().resident_bytes()
      << " after " << resident_bytes;
}

TEST_F(Step1SlowReader, GetsTheWholePageThoughTheServerIsAskedToStop) {
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
