// What the inspector understands of a stream of HTTP.

#include "http_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sessions::inspector {
namespace {

using testing::ElementsAre;

struct Read {
  std::vector<HttpMessage> messages;
  std::string bytes;
};

/// Reads `text` in two pieces, and then the connection is closed. `is_head`: what HEAD is answered.
Read read(HttpReader::Side side, std::string_view text, std::size_t split, bool is_head = false) {
  Read result;
  HttpReader reader{side,
                    {[&](const HttpMessage&) { return !is_head; },
                     [&](HttpMessage message) { result.messages.push_back(std::move(message)); },
                     [&](std::string_view bytes) { result.bytes += bytes; }}};
  reader.feed(text.substr(0, split));
  reader.feed(text.substr(split));
  reader.end();
  return result;
}

std::vector<std::string> bodies(const Read& read) {
  std::vector<std::string> all;
  for (const auto& message : read.messages) {
    all.push_back(message.body);
  }
  return all;
}

TEST(InspectorHttpReader, FindsRequestsWhereverPacketsEnd) {
  constexpr std::string_view kText =
      "POST /login HTTP/1.1\r\nHost: a\r\ncontent-length: 5\r\n\r\na=b\r\n"
      "POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\nT: "
      "u\r\n\r\n"
      "GET /c HTTP/1.1\r\nCookie: a=1\r\nCookie: b=2\r\n\r\n";
  for (std::size_t split = 0; split <= kText.size(); ++split) {
    const auto result = read(HttpReader::Side::kRequests, kText, split);
    ASSERT_THAT(bodies(result), ElementsAre("a=b\r\n", "abcde", "")) << split;
    EXPECT_EQ(result.messages.at(0).word(1), "/login");
    EXPECT_EQ(result.messages.at(0).header("HOST"), "a");
    EXPECT_THAT(result.messages.at(2).all_headers("cookie"), ElementsAre("a=1", "b=2"));
    EXPECT_EQ(result.bytes, "");
  }
}

TEST(InspectorHttpReader, FindsResponsesWhereverPacketsEnd) {
  constexpr std::string_view kText =
      "HTTP/1.1 100 Continue\r\n\r\n"
      "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n"
      "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
      "HTTP/1.0 200 OK\r\n\r\nuntil the end";
  for (std::size_t split = 0; split <= kText.size(); ++split) {
    const auto result = read(HttpReader::Side::kResponses, kText, split);
    ASSERT_THAT(bodies(result), ElementsAre("", "", "", "until the end")) << split;
    EXPECT_EQ(result.messages.at(1).status(), 304);
  }
}

TEST(InspectorHttpReader, ExpectsNoBodyWhereHeadWasAsked) {
  constexpr std::string_view kText =
      "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n";
  EXPECT_THAT(bodies(read(HttpReader::Side::kResponses, kText, 5, true)), ElementsAre("", ""));
}

TEST(InspectorHttpReader, GivesUpOnWhatIsNoHttpAndLosesNoByte) {
  for (const std::string_view text :
       {"\x16\x03\x01\x02", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "hello\r\n\r\nworld", "GET / HT",
        "\r\n\r\n", "GET / HTTP/1.1 \r\n\r\n \r\n\r\n"}) {
    const auto result = read(HttpReader::Side::kRequests, text, text.size() / 2);
    std::string all;
    for (const auto& message : result.messages) {
      all += message.head;
    }
    EXPECT_EQ(all + result.bytes, text);
  }
}

TEST(InspectorHttpReader, KeepsTheBeginningOfALongBody) {
  const std::string text =
      "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + std::string(100000, 'x');
  const auto result = read(HttpReader::Side::kResponses, text, 50000);
  ASSERT_EQ(result.messages.size(), 1);
  EXPECT_EQ(result.messages.at(0).body.size(), HttpReader::kMaxBody);
  EXPECT_EQ(result.messages.at(0).body_size, 100000);
}

}  // namespace
}  // namespace sessions::inspector
