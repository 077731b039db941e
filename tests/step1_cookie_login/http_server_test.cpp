// HTTP as RFC 9112 has it: where requests begin and end, and what the server says meanwhile.

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <utility>

#include "raw_connection.hpp"
#include "server_in_process.hpp"
#include "step_test.hpp"

namespace sessions::test {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

class Step1HttpServer : public StepTest {
 protected:
  Step1HttpServer() : StepTest{"step1_cookie_login", Store::kNone} {}

  /// All that comes for these bytes until the server closes the connection.
  std::string answers_to(const std::string& bytes) {
    RawConnection connection{server().url()};
    connection.send(bytes);
    return connection.read_to_end();
  }
};

std::size_t count(std::string_view text, std::string_view part) {
  std::size_t found = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

// Whatever of these a lax server takes for one thing and a proxy for another is a second request.
TEST_F(Step1HttpServer, RequestWithAnAmbiguousEndIsRefusedAndNothingAfterItIsServed) {
  const std::string smuggled = "GET /login HTTP/1.1\r\nHost: x\r\n\r\n";
  const auto length = fmt::format("Content-Length: {}\r\n", smuggled.size());
  const std::string nul{"X: a\0b\r\n", 8};
  for (const auto& lines : {
           std::string{},
           std::string{"Host: x\r\nHost: x\r\n"},
           std::string{"Host: x y\r\n"},
           std::string{"Host: x/y\r\n"},
           "Host: x\r\n" + length + "Content-Length: 5\r\n",
           "Host: x\r\n" + length + length,
           std::string{"Host: x\r\nContent-Length: 5, 5\r\n"},
           std::string{"Host: x\r\nContent-Length: +5\r\n"},
           std::string{"Host: x\r\nContent-Length: 0x5\r\n"},
           std::string{"Host: x\r\nContent-Length:\r\n"},
           std::string{"Host: x\r\nContent-Length : 39\r\n"},
           std::string{"Host: x\r\nContent-Length\t: 39\r\n"},
           std::string{"Host: x\r\nTransfer-Encoding : chunked\r\n"},
           std::string{"Host: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n"},
           std::string{"Host: x\r\n Content-Length: 39\r\n"},
           std::string{"Host: x\r\nX: folded\r\n line\r\n"},
           std::string{"Host: x\r\nX: folded\r\n\tline\r\n"},
           std::string{"Host: x\r\nno colon\r\n"},
           std::string{"Host: x\r\n: no name\r\n"},
           std::string{"Host: x\r\nX: bare\nContent-Length: 39\r\n"},
           std::string{"Host: x\r\nX: bare\rContent-Length: 39\r\n"},
           std::string{"Host: x\r\nX\x80: y\r\n"},
           "Host: x\r\n" + nul,
       }) {
    SCOPED_TRACE(lines);
    const auto answers = answers_to("POST /login HTTP/1.1\r\n" + lines + "\r\n" + smuggled);
    EXPECT_THAT(answers, StartsWith("HTTP/1.1 400 "));
    EXPECT_THAT(answers, HasSubstr("Connection: close\r\n"));
    EXPECT_EQ(count(answers, "HTTP/1.1 "), 1U) << answers;
  }
}

TEST_F(Step1HttpServer, RequestLineHasThreePartsAndAKnownVersion) {
  for (const auto& line :
       {"GET /", "GET / H", "GET / HTTP/1.", "GET / HTTP/1.10", "GET / HTTP/2.0", "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ", " GET / HTTP/1.1", "GET /a b HTTP/1.1", "GET\t/ HTTP/1.1",
        "GET nowhere HTTP/1.1", "G\x01T / HTTP/1.1", "GET http:///x HTTP/1.1", "get / HTTP/1.1"}) {
    EXPECT_THAT(answers_to(std::string{line} + "\r\nHost: x\r\n\r\n"), StartsWith("HTTP/1.1 400 "))
        << line;
  }
}

TEST_F(Step1HttpServer, TargetInAbsoluteFormIsServed) {
  for (const auto& target :
       {"http://localhost/login", "HTTP://x:1/login?next=/", "https://[::1]:5000/login"}) {
    RawConnection connection{server().url()};
    connection.send(request_text("GET", target));
    EXPECT_THAT(connection.read_response().body, HasSubstr("<form")) << target;
  }
  RawConnection connection{server().url()};
  connection.send(request_text("GET", "http://localhost") +
                  request_text("GET", "http://localhost?x=/login"));
  EXPECT_THAT(connection.read_response().body, HasSubstr("You are not logged in"));
  EXPECT_THAT(connection.read_response().body, HasSubstr("You are not logged in"));
}

TEST_F(Step1HttpServer, EmptyLinesBeforeARequestAreSkipped) {
  RawConnection connection{server().url()};
  connection.send("\r\n" + request_text("GET", "/") + "\r\n\r\n" + request_text("GET", "/login"));
  EXPECT_EQ(connection.read_response().status, 200);
  EXPECT_THAT(connection.read_response().body, HasSubstr("<form"));
}

TEST_F(Step1HttpServer, ClientThatExpectsContinueIsInvited) {
  const std::string head =
      "POST /login HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
      "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ";
  RawConnection connection{server().url()};
  connection.send(head + "14\r\n\r\n");
  EXPECT_EQ(connection.read_response().status, 100);
  connection.send("username=willi");
  EXPECT_EQ(connection.read_response().status, 302);
  EXPECT_THAT(answers_to(head + "99999\r\n\r\n"), StartsWith("HTTP/1.1 413 ")) << "not invited";
}

TEST_F(Step1HttpServer, ClientThatHalfClosesGetsItsAnswers) {
  RawConnection connection{server().url()};
  connection.send(request_text("GET", "/") + request_text("GET", "/login"));
  connection.finish_sending();
  const auto answers = connection.read_to_end();
  EXPECT_EQ(count(answers, "HTTP/1.1 200 OK"), 2U) << answers;
  EXPECT_THAT(answers, HasSubstr("<form"));
}

// A proxy may split them, and HTTP/2 does.
TEST_F(Step1HttpServer, CookiesOnTwoLinesAreRead) {
  HttpClient client{server().url()};
  const auto name = unique_name("tara");
  const auto ours = "session=" + logged_in_cookie(client, name);
  for (const auto& lines : {"Cookie: a=b\r\nCookie: " + ours + "\r\n",
                            "cookie: " + ours + "\r\nCOOKIE: session=other\r\n"}) {
    RawConnection connection{server().url()};
    connection.send(request_text("GET", "/", lines));
    EXPECT_THAT(connection.read_response().body, HasSubstr("Logged in as " + name)) << lines;
  }
}

TEST_F(Step1HttpServer, OddHeadersDoNoHarm) {
  for (const auto& line : {"Date: today", "Accept: garbage", "Cache-Control: =", "Cookie: a",
                           "Cookie:", "Content-Type: /", "User-Agent: \xff\xfe", "X:\t"}) {
    RawConnection connection{server().url()};
    connection.send(request_text("GET", "/", std::string{line} + "\r\n"));
    EXPECT_EQ(connection.read_response().status, 200) << line;
  }
}

TEST_F(Step1HttpServer, PipelinedRequestsAreAnsweredInOrder) {
  const std::string form = "username=" + unique_name("uwe");
  const auto post = request_text("POST", "/login",
                                 "Content-Type: application/x-www-form-urlencoded\r\n"
                                 "Content-Length: " +
                                     std::to_string(form.size()) + "\r\n") +
                    form;
  RawConnection connection{server().url()};
  connection.send(request_text("GET", "/") + post + request_text("HEAD", "/nowhere") +
                  request_text("GET", "/login"));
  EXPECT_THAT(connection.read_response().body, HasSubstr("You are not logged in"));
  EXPECT_EQ(connection.read_response().status, 302);
  EXPECT_EQ(connection.read_response(true).status, 404);
  EXPECT_THAT(connection.read_response().body, HasSubstr("<form"));
  connection.send(request_text("GET", "/"));
  EXPECT_EQ(connection.read_response().status, 200) << "the connection is still open";
}

TEST_F(Step1HttpServer, RefusedClientThatDoesNotCloseKeepsNoDescriptor) {
  HttpClient{server().url()}.get("/");
  EXPECT_TRUE(wait_until([&, last = std::size_t{0}]() mutable {
    return std::exchange(last, server().process().open_descriptors()) == last;
  }));
  const auto before = server().process().open_descriptors();
  std::vector<std::unique_ptr<RawConnection>> refused;
  for (int number = 0; number < 20; ++number) {
    refused.push_back(std::make_unique<RawConnection>(server().url()));
    refused.back()->send("GARBAGE\r\n\r\n");
    EXPECT_EQ(refused.back()->read_response().status, 400);
  }
  EXPECT_TRUE(wait_until([&] { return server().process().open_descriptors() <= before; }));
}

// With a parser that starts from the first byte with every packet, these 2,400 bytes took 11 s of
// processor time, and others waited for 0.6 s.
TEST_F(Step1HttpServer, SlowHeadersHoldUpNobody) {
  constexpr int kClients = 60;
  constexpr int kBytes = 40;
  std::string head = "GET / HTTP/1.1\r\nHost: x\r\n";
  for (int number = 0; head.size() < 55'000; ++number) {
    head += fmt::format("X-{}: {}\r\n", number, std::string(60, 'x'));
  }
  std::vector<std::unique_ptr<RawConnection>> slow;
  for (int number = 0; number < kClients; ++number) {
    slow.push_back(std::make_unique<RawConnection>(server().url()));
    slow.back()->send(head + "X: ");
  }
  HttpClient other{server().url()};
  other.get("/");
  const auto before = server().process().processor_time();
  std::vector<Clock::duration> waits;
  for (int byte = 0; byte < kBytes; ++byte) {
    for (const auto& connection : slow) {
      connection->send("x");
    }
    const auto start = Clock::now();
    EXPECT_EQ(other.get("/").status, 200);
    waits.push_back(Clock::now() - start);
  }
  EXPECT_LE(server().process().processor_time() - before, milliseconds{500} * kSlowdown);
  std::ranges::nth_element(waits, waits.begin() + kBytes / 2);
  EXPECT_LE(waits[kBytes / 2], milliseconds{10} * kSlowdown);
  for (const auto& connection : slow) {
    connection->send("\r\n\r\n");
    EXPECT_EQ(connection->read_response().status, 200);
  }
}

TEST_F(Step1HttpServer, EachRequestIsALineInTheLog) {
  HttpClient client{server().url()};
  const auto cookie = logged_in_cookie(client, "alice");
  client.get("/?secret=1", {cookie_header("session", cookie)});
  client.request("HEAD", "/nowhere");
  answers_to("GET /\xc2\x9b HTTP/1.0\r\n\r\n");
  answers_to("GARBAGE\r\n\r\n");
  EXPECT_TRUE(server().logs("(malformed) 400"));
  const auto port = server().url().substr(server().url().rfind(':') + 1);
  const auto log = server().log();
  EXPECT_EQ(std::ranges::count(log, '\n'), 5) << log;
  EXPECT_THAT(log, MatchesRegex("(\\[[^]]*\\] \\[step1_cookie_login:" + port +
                                "\\] \\[info\\] [^\n]* [0-9]{3} [0-9]+\\.[0-9] ms\n)+"));
  for (const auto& line :
       {"POST /login 302 ", "GET / 200 ", "HEAD /nowhere 404 ", "GET /%C2%9B 404 "}) {
    EXPECT_THAT(log, HasSubstr(line));
  }
  EXPECT_THAT(log, Not(HasSubstr("secret")));
}

TEST_F(Step1HttpServer, QuietLogsNoRequests) {
  for (const auto& [environment, arguments] :
       std::vector<std::pair<Environment, std::vector<std::string>>>{{{{"QUIET", "1"}}, {}},
                                                                     {{}, {"--quiet"}}}) {
    ServerProcess quiet{step(), environment, arguments};
    EXPECT_EQ(HttpClient{quiet.url()}.get("/").status, 200);
    EXPECT_EQ(quiet.stop(), 0);
    EXPECT_EQ(quiet.log(), "");
  }
}

asio::awaitable<sessions::Response> serve_page(Request /*request*/) {
  co_return sessions::Response{200, "page"};
}

TEST(Step1HttpServerLimits, UnfinishedRequestGetsOurOwn408) {
  ServerInProcess server{serve_page, {.patience = milliseconds{300}}};
  RawConnection idle{server.url()};
  for (const auto& bytes :
       {"GET / HT", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"}) {
    RawConnection connection{server.url()};
    connection.send(bytes);
    const auto answer = connection.read_to_end();
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 408 Request Timeout\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nConnection: close\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nCache-Control: no-store\r\n"));
  }
  idle.send(request_text("GET", "/"));
  EXPECT_EQ(idle.read_response().status, 200) << "a client that has sent nothing may wait";
}

std::size_t own_descriptors() {
  const std::filesystem::directory_iterator entries{"/proc/self/fd"};
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

TEST(Step1HttpServerLimits, ReaderThatTakesNothingIsGivenUp) {
  constexpr std::size_t kPageBytes = 20'000'000;
  ServerInProcess server{[](Request /*request*/) -> asio::awaitable<sessions::Response> {
                           co_return sessions::Response{200, std::string(kPageBytes, 'x')};
                         },
                         {.patience = milliseconds{300}}};
  RawConnection reader{server.url(), RawConnection::Reader::kSlow};
  reader.send(request_text("GET", "/"));
  reader.wait_for_bytes(1000);
  const auto connected = own_descriptors();
  EXPECT_TRUE(wait_until([&] { return own_descriptors() == connected - 2; }));
  EXPECT_LT(reader.read_to_end().size(), kPageBytes);
}

TEST(Step1HttpServerLimits, HandlerThatThrowsAnythingIs500) {
  ServerInProcess server{[](Request request) -> asio::awaitable<sessions::Response> {
    if (request.method() == Method::Get) {
      throw 42;
    }
    co_return sessions::Response{200, ""};
  }};
  RawConnection connection{server.url()};
  connection.send(request_text("GET", "/") + request_text("POST", "/"));
  EXPECT_EQ(connection.read_response().status, 500);
  EXPECT_EQ(connection.read_response().status, 200);
}

// Where memory runs out, say, there is nothing left to answer with.
TEST(Step1HttpServerLimits, ResponseThatCannotBeWrittenEndsItsConnectionOnly) {
  ServerInProcess server{[](Request request) -> asio::awaitable<sessions::Response> {
    const auto too_much = std::string{}.max_size();
    co_return sessions::Response{
        200, "", request.method() == Method::Get ? std::string_view{"", too_much} : ""};
  }};
  RawConnection other{server.url()};
  other.send(request_text("POST", "/"));
  EXPECT_EQ(other.read_response().status, 200);
  RawConnection connection{server.url()};
  connection.send(request_text("GET", "/"));
  EXPECT_EQ(connection.read_to_end(), "");
  other.send(request_text("POST", "/"));
  EXPECT_EQ(other.read_response().status, 200);
}

}  // namespace
}  // namespace sessions::test
