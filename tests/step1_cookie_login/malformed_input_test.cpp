// Whatever is sent, the server goes on serving.

#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "raw_connection.hpp"
#include "step_test.hpp"
#include "token.hpp"

namespace sessions::test {
namespace {

class Step1MalformedInput : public StepTest {
 protected:
  Step1MalformedInput() : StepTest{"step1_cookie_login", Store::kNone} {}

  void expect_still_serves() {
    HttpClient client{server().url()};
    EXPECT_EQ(client.get("/").status, 200);
    const auto cookie = logged_in_cookie(client, "alice");
    EXPECT_TRUE(client.get("/", {cookie_header("session", cookie)}).contains("as alice"));
    EXPECT_EQ(server().process().exit_code(), std::nullopt);
  }
};

/// Makes requests that are wrong in a different way each. The same seed makes the same requests.
class Malformer {
 public:
  explicit Malformer(unsigned int seed) : random_{seed} {}

  std::size_t up_to(std::size_t highest) {
    return std::uniform_int_distribution<std::size_t>{0, highest}(random_);
  }

  std::string garbage(std::size_t size) {
    std::string bytes(size, '\0');
    std::ranges::generate(bytes, [this] { return static_cast<char>(up_to(255)); });
    return bytes;
  }

  std::string request() {
    auto bytes = well_formed();
    switch (up_to(9)) {
      case 0:
        return garbage(1 + up_to(500));
      case 1:
        return bytes.substr(0, up_to(bytes.size()));
      case 2:
        return bytes + garbage(up_to(200));
      case 3:
        return cookie_request(garbage(up_to(300)));
      case 4:
        return cookie_request(dotted());
      case 5:
        return cookie_request(signed_token(garbage(up_to(40)), garbage(up_to(200)), kTestKey));
      case 6:
        return with_header(fmt::format("Content-Length: {}",
                                       pick({"-1", "18446744073709551615", "99999999999999999999",
                                             "0x10", " 5 ", "", "5,5", "1e3", "65537", "-0"})));
      case 7:
        return with_header("Transfer-Encoding: " + pick({"chunked", "gzip, chunked", "x", ""})) +
               pick({"5\r\nabcde\r\n0\r\n\r\n", "ffffffffffffffff\r\n", "-1\r\n", "zz\r\n", ""});
      case 8:
        return header_flood();
      default:
        for (auto changes = 1 + up_to(8); changes > 0; --changes) {
          bytes[up_to(bytes.size() - 1)] = static_cast<char>(up_to(255));
        }
        return bytes;
    }
  }

 private:
  std::string pick(const std::vector<std::string>& choices) {
    return choices[up_to(choices.size() - 1)];
  }

  std::string well_formed() {
    const std::string form = "username=" + std::string(up_to(300), 'u') + "%" + garbage(2);
    return pick({request_text("GET", "/", "Cookie: session=a.b.c; x=y\r\n"),
                 request_text("HEAD", "/login", "Accept: text/html\r\n"),
                 request_text("OPTIONS", "/"),
                 fmt::format("POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: "
                             "application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{}",
                             form.size(), form)});
  }

  std::string with_header(const std::string& line) {
    return pick({"GET / ", "POST /login ", "HEAD / "}) + "HTTP/1.1\r\nHost: x\r\n" + line +
           "\r\n\r\n";
  }

  static std::string cookie_request(const std::string& value) {
    return request_text("GET", "/", "Cookie: session=" + value + "\r\n");
  }

  std::string dotted() {
    std::string value;
    for (auto parts = up_to(6); parts > 0; --parts) {
      value += base64url(garbage(up_to(60))) + ".";
    }
    return value;
  }

  std::string header_flood() {
    std::string lines;
    for (auto count = up_to(2000); count > 0; --count) {
      lines += fmt::format("X-{}: {}\r\n", count, up_to(1000));
    }
    return request_text("GET", "/", lines);
  }

  std::mt19937 random_;
};

TEST_F(Step1MalformedInput, ThousandsOfMalformedRequestsDoNoHarm) {
  constexpr int kRequests = 5000;
  const auto end = Clock::now() + seconds{15};
  Malformer malformer{20261121};
  expect_still_serves();
  int sent = 0;
  std::size_t memory_at_first = 0;
  for (; sent < kRequests && Clock::now() < end; ++sent) {
    RawConnection connection{server().url()};
    const auto bytes = malformer.request();
    for (std::size_t start = 0; start < bytes.size();) {
      const auto size = malformer.up_to(3) == 0 ? 1 + malformer.up_to(30) : bytes.size();
      if (!connection.send(std::string_view{bytes}.substr(start, size))) {
        break;
      }
      start += size;
    }
    if (malformer.up_to(1) == 0) {
      connection.finish_sending();
      const auto answer = connection.read_to_end();
      EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 ")) << answer;
      EXPECT_FALSE(answer.starts_with("HTTP/1.1 5")) << answer << "\nto\n" << bytes;
    } else if (malformer.up_to(1) == 0) {
      connection.abort();
    }
    ASSERT_EQ(server().process().exit_code(), std::nullopt) << "after request " << sent << bytes;
    if (sent == 500) {
      memory_at_first = server().process().resident_bytes();
    }
  }
  EXPECT_GT(sent, 1000) << "malformed requests were sent";
  expect_still_serves();
  EXPECT_LT(server().process().resident_bytes(), memory_at_first + 16 * 1024 * 1024 * kSlowdown);
}

TEST_F(Step1MalformedInput, SlowClientsDoNotKeepOthersWaiting) {
  std::vector<std::unique_ptr<RawConnection>> slow;
  const std::string request =
      "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
      "Content-Length: 14\r\n\r\nusername=slow!";
  for (int number = 0; number < 200; ++number) {
    slow.push_back(std::make_unique<RawConnection>(server().url()));
  }
  for (const char byte : request) {
    for (const auto& connection : slow) {
      ASSERT_TRUE(connection->send({&byte, 1}));
    }
    if (byte == '\n') {
      EXPECT_EQ(HttpClient{server().url()}.get("/").status, 200);
    }
  }
  for (const auto& connection : slow) {
    EXPECT_EQ(connection->read_response().status, 302);
  }
}

TEST_F(Step1MalformedInput, AnnouncedLengthsReserveNoMemory) {
  expect_still_serves();
  const auto before = server().process().resident_bytes();
  std::vector<std::unique_ptr<RawConnection>> connections;
  for (int number = 0; number < 100; ++number) {
    connections.push_back(std::make_unique<RawConnection>(server().url()));
    connections.back()->send(
        fmt::format("POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\nusername=a",
                    number % 2 == 0 ? "4000000000" : "60000"));
  }
  expect_still_serves();
  EXPECT_LT(server().process().resident_bytes(), before + 16 * 1024 * 1024 * kSlowdown);
}

TEST_F(Step1MalformedInput, ClientThatReadsNothingDoesNotStopTheServer) {
  RawConnection deaf{server().url()};
  for (int number = 0; number < 50; ++number) {
    deaf.send(request_text("GET", "/login"));
    std::this_thread::sleep_for(milliseconds{2});
  }
  expect_still_serves();
  EXPECT_EQ(server().stop(), 0);
}

}  // namespace
}  // namespace sessions::test
