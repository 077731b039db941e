// Where a request ends: the server and nginx in front of it must agree, or the server must refuse.
//
// If they do not, the end of one visitor's request becomes the beginning of the next one's (request
// smuggling, RFC 9112, section 11.2).

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>

#include "raw_connection.hpp"
#include "step_test.hpp"

namespace sessions::test {
namespace {

/// A request with two readings: in one of them its body, of `kBody` with the path filled in, ends
/// after the first chunk, and what follows is a request of its own.
struct Shape {
  std::string framing;  ///< header lines; %L stands for the length of the whole body
  int requests = 1;     ///< how many RFC 9112 sees in it, where nobody refuses it
  std::string request_line = "POST /login HTTP/1.1";
};

std::string smuggled_path(std::size_t number) { return fmt::format("/smuggled-{}.", number); }

std::string bytes_of(const Shape& shape, std::size_t number) {
  const auto body =
      fmt::format("0\r\n\r\nGET {} HTTP/1.1\r\nHost: localhost\r\n\r\n", smuggled_path(number));
  const auto framing =
      std::regex_replace(shape.framing, std::regex{"%L"}, std::to_string(body.size()));
  return fmt::format("{}\r\nHost: localhost\r\n{}\r\n\r\n{}", shape.request_line, framing, body);
}

std::vector<Shape> shapes() {
  using namespace std::string_literals;
  const std::string length = "Content-Length: %L\r\n";
  const std::string chunked = "Transfer-Encoding: chunked";
  std::vector<Shape> all{
      // Nothing is wrong with these.
      {"Content-Length: %L"},
      {"CONTENT-LENGTH:%L"},
      {"Content-Length: \t %L \t"},
      {"Content-Length: %L", 1, "GET / HTTP/1.1"},
      {"Content-Length: %L\r\nTransfer_Encoding: chunked"},
      {"Content-Length: %L\r\nX-Transfer-Encoding: chunked"},
      {chunked, 2},
      {"transfer-encoding: Chunked", 2},
      {"Content-Length: 0", 2},
      {"X: y", 2},
      {"Content-Length: 5\nX: y", 2},  // a lone LF may end a line (RFC 9112, section 2.2)
      // Both framings.
      {length + chunked},
      {chunked + "\r\nContent-Length: %L"},
      {"Content-Length: 5\r\n" + chunked},
      {"Content-Length: 0\r\n" + chunked},
      {length + chunked, 1, "GET / HTTP/1.1"},
      {length + chunked, 1, "POST /login HTTP/1.0"},
      {chunked, 1, "POST /login HTTP/1.0"},
      // Two lengths.
      {length + "Content-Length: 5"},
      {"Content-Length: 5\r\nContent-Length: %L"},
      {length + "Content-Length: %L"},
      {length + "content-length: 0"},
      {"Content-Length: %L, 5"},
      {"Content-Length: 5, %L"},
      {"Content-Length: %L, %L"},
      // Two transfer encodings.
      {length + chunked + "\r\nTransfer-Encoding: identity"},
      {length + "Transfer-Encoding: identity\r\n" + chunked},
      {length + chunked + "\r\n" + chunked},
      {chunked + "\r\nTransfer-Encoding: x"},
  };
  for (const auto& value : {"+%L", "-1", "-%L", "0x5", "%L.0", "%Le0", "%L;", "%L 5", "5 %L", "%L_",
                            "", "18446744073709551616", "18446744073709551621", "4294967301",
                            "9223372036854775808", "\x0b%L", "%L\x0c", "\"%L\""}) {
    all.push_back({"Content-Length: "s + value});
  }
  for (const auto& value : {"xchunked", "chunk", "chunked;q=1", "chunked, identity",
                            "identity, chunked", "chunked, chunked", "gzip, chunked", "\"chunked\"",
                            "'chunked'", "\013chunked", "chunked\x0c", "\240chunked", "", ","}) {
    all.push_back({length + "Transfer-Encoding: " + value});
    all.push_back({"Transfer-Encoding: "s + value});
  }
  for (const auto& line :
       {"Transfer-Encoding : chunked"s, "Transfer-Encoding\t: chunked"s,
        " Transfer-Encoding: chunked"s, "\tTransfer-Encoding: chunked"s,
        "X: y\r\n Transfer-Encoding: chunked"s, "X: y\r\n\tTransfer-Encoding: chunked"s,
        "Transfer-Encoding\r\n: chunked"s, "Transfer-Encoding:\r\n chunked"s,
        "X: y\nTransfer-Encoding: chunked"s, "X: y\rTransfer-Encoding: chunked"s,
        "Transfer-Encoding: chunked\nX: y"s, "Transfer-Encoding\0: chunked"s,
        "Transfer-Encoding: chunked\0"s, "\0Transfer-Encoding: chunked"s,
        "Transfer-Encoding chunked"s, "Transfer\x80-Encoding: chunked"s, ": chunked"s,
        "Transfer-Encoding;: chunked"s, "Transfer Encoding: chunked"s}) {
    all.push_back({length + line});
  }
  for (const auto& line :
       {"Content-Length : %L"s, "Content-Length\t: %L"s, " Content-Length: %L"s,
        "Content-Length:\r\n %L"s, "Content-Length: %L\r\n 5"s, "X: y\r\n Content-Length: %L"s,
        "X: y\nContent-Length: %L"s, "X: y\rContent-Length: %L"s, "Content-Length\0: %L"s,
        "Content-Length: %L\0"s, "Content-Length %L"s}) {
    all.push_back({line});
  }
  return all;
}

int count(const std::string& text, const std::string& part) {
  int found = 0;
  for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

/// nginx with the settings that step 5 has, in front of one server.
class Nginx {
 public:
  explicit Nginx(const std::string& server_url) : port_{free_port()} {
    std::ifstream file{SESSIONS_NGINX_SETTINGS};
    std::string settings{std::istreambuf_iterator{file}, {}};
    const auto server = fmt::format("server {};", server_url.substr(std::string{"http://"}.size()));
    settings = std::regex_replace(settings, std::regex{"@SERVERS@"}, server);
    settings = std::regex_replace(settings, std::regex{"@NEXT@"}, "");  // there is no other
    settings = std::regex_replace(settings, std::regex{"@HOST@"}, "127.0.0.1");
    settings = std::regex_replace(settings, std::regex{"@PORT@"}, std::to_string(port_));
    std::ofstream{folder_.path() / "nginx.conf"} << settings;
    process_ = std::make_unique<Process>(
        std::vector<std::string>{"nginx", "-e", "stderr", "-p", folder_.path(), "-c", "nginx.conf",
                                 "-g", "daemon off; master_process off;"});
    if (!wait_until([this] { return answers(); })) {
      throw std::runtime_error{"nginx does not start\n" + process_->log()};
    }
  }

  std::string url() const { return fmt::format("http://127.0.0.1:{}", port_); }

 private:
  bool answers() const {
    try {
      return HttpClient{url()}.get("/").status == 200;
    } catch (const std::exception&) {
      return false;
    }
  }

  TemporaryFolder folder_;
  int port_;
  std::unique_ptr<Process> process_;
};

class Step1Framing : public StepTest {
 protected:
  Step1Framing() : StepTest{"step1_cookie_login", Store::kNone} {}

  /// Sends the shape to `url`, and a last request. Whoever answers must not see more requests than
  /// there are, and the server must have seen as many as were answered.
  void expect_one_reading(const std::string& url, const Shape& shape, std::size_t number) {
    const auto bytes = bytes_of(shape, number);
    SCOPED_TRACE(fmt::format("{} at {}:\n{}", number, url, bytes));
    const auto last = fmt::format("/last-{}.", number);
    RawConnection connection{url};
    connection.send(bytes + request_text("GET", last, "Connection: close\r\n"));
    const auto answers = connection.read_to_end();
    EXPECT_GE(count(answers, "HTTP/1.1 "), 1) << answers;
    EXPECT_LE(count(answers, "HTTP/1.1 "), shape.requests + 1) << answers;
    const auto smuggled = count(server().log(), smuggled_path(number));
    EXPECT_LE(smuggled, shape.requests - 1) << answers;
    EXPECT_EQ(smuggled + count(server().log(), last), count(answers, "404 Not Found\r\n"))
        << answers;
  }
};

class Step1FramingBehindNginx : public Step1Framing {
 protected:
  void SetUp() override {
    if (!is_installed("nginx")) {
      skip_for_lack_of("nginx");
    }
  }
};

TEST_F(Step1Framing, ThereAreManyShapes) { EXPECT_GE(shapes().size(), 40U); }

// Else the others could not fail.
TEST_F(Step1Framing, ARequestAfterAnotherIsSeenInLogAndAnswers) {
  RawConnection connection{server().url()};
  connection.send(request_text("GET", "/") +
                  request_text("GET", smuggled_path(0), "Connection: close\r\n"));
  EXPECT_EQ(count(connection.read_to_end(), "HTTP/1.1 "), 2);
  EXPECT_TRUE(server().logs(smuggled_path(0)));
}

TEST_F(Step1Framing, NoRequestIsTakenForTwo) {
  const auto all = shapes();
  for (std::size_t number = 0; number < all.size(); ++number) {
    expect_one_reading(server().url(), all[number], number);
  }
}

TEST_F(Step1FramingBehindNginx, NoRequestIsTakenForTwo) {
  const Nginx nginx{server().url()};
  const auto all = shapes();
  for (std::size_t number = 0; number < all.size(); ++number) {
    expect_one_reading(nginx.url(), all[number], number);
  }
}

TEST_F(Step1FramingBehindNginx, ARequestAfterAnotherIsSeenInLogAndAnswers) {
  const Nginx nginx{server().url()};
  RawConnection connection{nginx.url()};
  connection.send(request_text("GET", "/") +
                  request_text("GET", smuggled_path(0), "Connection: close\r\n"));
  EXPECT_EQ(count(connection.read_to_end(), "HTTP/1.1 "), 2);
  EXPECT_TRUE(server().logs(smuggled_path(0)));
}

}  // namespace
}  // namespace sessions::test
