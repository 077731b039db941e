// Step 1: a signed cookie and three routes.

#include <fmt/format.h>

#include <regex>

#include "http_message.hpp"
#include "http_scenarios.hpp"
#include "pages.hpp"
#include "program_scenarios.hpp"
#include "raw_connection.hpp"
#include "rule.hpp"
#include "token.hpp"

namespace sessions::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Step1Contract : public HttpScenarios {
 protected:
  Step1Contract() : HttpScenarios{"step1_cookie_login", Store::kNone} {}
};

class Step1Cookie : public ProgramScenarios {
 protected:
  Step1Cookie() : ProgramScenarios{"step1_cookie_login", Store::kNone} {}

  std::vector<std::string> variables() const override { return {}; }

  /// The page that a visit with this value of the cookie `session` gets.
  std::string page_for(const std::string& value) {
    return HttpClient{server().url()}.get("/", {cookie_header("session", value)}).body;
  }
  void expect_accepted(const std::string& token) {
    EXPECT_THAT(page_for(token), HasSubstr("Logged in as mallory")) << token;
  }
  void expect_ignored(const std::string& token) {
    EXPECT_THAT(page_for(token), HasSubstr("You are not logged in")) << token;
  }
};

[[maybe_unused]] const bool kContract =
    register_scenarios<Step1Contract>("Step1Contract", HttpScenarios::all());
[[maybe_unused]] const bool kProgram =
    register_scenarios<Step1Cookie>("Step1Cookie", ProgramScenarios::all());

// No page of a step lets a visitor's text into a header. A changed one may.
TEST(Step1Response, HeaderCannotBreakOutOfItsLine) {
  sessions::Response response;
  EXPECT_THROW(response.add_header("Location", "/\r\nSet-Cookie: a=b"), std::invalid_argument);
  EXPECT_THROW(response.add_header("X: y\nZ", "z"), std::invalid_argument);
  EXPECT_EQ(response.header_lines(), "");
}

TEST(Step1Pages, TextIsEscapedForContentAndForAttributes) {
  EXPECT_EQ(escape(R"(<a href="x" title='y'>&amp;)"),
            "&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;");
}

constexpr std::string_view kHeader = R"({"alg":"HS256","typ":"JWT"})";
constexpr std::string_view kAudience = "cpp-sessions/username";

std::string claims(const std::string& audience, const std::string& issued,
                   const std::string& expires, const std::string& username = "\"mallory\"") {
  return fmt::format(R"({{"aud":{},"iat":{},"exp":{},"username":{}}})", audience, issued, expires,
                     username);
}

std::string good_claims() {
  const auto now = now_in_seconds();
  return claims(fmt::format("\"{}\"", kAudience), std::to_string(now), std::to_string(now + 1000));
}

TEST_F(Step1Cookie, CheckIsForStepsWithAStore) { EXPECT_EQ(run_program({"--check"}).exit_code, 2); }

TEST_F(Step1Cookie, TokenHoldsUsernameAndTimesAndAudience) {
  HttpClient client{server().url()};
  const auto token = logged_in_cookie(client, "mallory");
  // What was signed can be read by anybody and made again by whoever has the key.
  const auto now = now_in_seconds();
  bool is_same = false;
  for (auto issued = now - 2; issued <= now; ++issued) {
    const auto payload = fmt::format(R"({{"aud":"{}","exp":{},"iat":{},"username":"mallory"}})",
                                     kAudience, issued + 31 * 24 * 3600, issued);
    is_same = is_same || token.find("." + base64url(payload) + ".") != std::string::npos;
  }
  EXPECT_TRUE(is_same) << token;
}

TEST_F(Step1Cookie, TokenOfAnotherKeyIsNoCookie) {
  const Rule rule{"token.algorithm"};
  expect_accepted(signed_token(kHeader, good_claims(), kTestKey));
  expect_ignored(signed_token(kHeader, good_claims(), fmt::format("{}x", kTestKey)));
  expect_ignored(signed_token(kHeader, good_claims(), ""));
}

TEST_F(Step1Cookie, OnlyHs256IsAccepted) {
  const Rule rule{"token.algorithm"};
  for (const auto& header : {R"({"alg":"none"})", R"({"alg":"nOnE"})", R"({"alg":"HS512"})",
                             R"({"alg":"RS256"})", R"({"alg":"hs256"})", R"({"alg":5})",
                             R"({"alg":null})", R"({"alg":["HS256"]})", R"({"typ":"JWT"})", R"({})",
                             R"([])", R"("HS256")", R"(5)", R"(null)", R"({"alg":"HS256")", ""}) {
    expect_ignored(signed_token(header, good_claims(), kTestKey));
    expect_ignored(base64url(header) + "." + base64url(good_claims()) + ".");
    expect_ignored(base64url(header) + "." + base64url(good_claims()));
  }
}

// A header names an algorithm, a key, a type: what is not read cannot be abused (RFC 8725).
TEST_F(Step1Cookie, TokenWithAnyOtherHeaderThanOursIsNoCookie) {
  expect_accepted(signed_token(kHeader, good_claims(), kTestKey));
  for (const auto& header : {R"({"typ":"JWT","alg":"HS256"})", R"({"alg":"HS256","typ":"JWT"} )",
                             R"({"alg":"HS256"})", R"({"alg":"HS256","kid":"../../../dev/null"})",
                             R"({"alg":"HS256","jku":"http://127.0.0.1:1","typ":"JWT"})"}) {
    expect_ignored(signed_token(header, good_claims(), kTestKey));
    expect_ignored(signed_token(header, good_claims(), ""));
  }
}

TEST_F(Step1Cookie, AllClaimsAreRequiredAndChecked) {
  const Rule rule{"token.claims"};
  const auto time = now_in_seconds();
  const auto now = std::to_string(time);
  const auto later = std::to_string(time + 1000);
  const auto earlier = std::to_string(time - 1000);
  const auto audience = fmt::format("\"{}\"", kAudience);
  const std::vector<std::string> payloads{
      "[]",
      "[1,2]",
      "\"mallory\"",
      "5",
      "null",
      "true",
      "{}",
      "",
      "{",
      "mallory",
      claims(audience, now, now),  // expired this second
      claims(audience, earlier, std::to_string(time - 1)),
      claims(audience, later, std::to_string(time + 2000)),  // issued in the future
      claims(audience, now, "-1"),
      claims(audience, "-1", later),
      claims(audience, now, later + ".5"),
      claims(audience, now + ".0", later),
      claims(audience, now, "\"" + later + "\""),
      claims(audience, "\"" + now + "\"", later),
      claims(audience, now, "null"),
      claims(audience, "null", later),
      claims(audience, now, "1e99"),
      claims(audience, now, "[" + later + "]"),
      claims(audience, now, "true"),
      claims("\"cpp-sessions/sid\"", now, later),
      claims("\"\"", now, later),
      claims("null", now, later),
      claims("5", now, later),
      claims("[" + audience + "]", now, later),
      claims(audience, now, later, "5"),
      claims(audience, now, later, "null"),
      claims(audience, now, later, "[\"mallory\"]"),
      claims(audience, now, later, "{\"a\":\"mallory\"}"),
      fmt::format(R"({{"iat":{},"exp":{},"username":"mallory"}})", now, later),
      fmt::format(R"({{"aud":{},"exp":{},"username":"mallory"}})", audience, later),
      fmt::format(R"({{"aud":{},"iat":{},"username":"mallory"}})", audience, now),
      fmt::format(R"({{"aud":{},"iat":{},"exp":{}}})", audience, now, later),
      std::string(2000, '['),
      good_claims() + "x",
      "[" + good_claims() + "]",
      fmt::format(R"({{"a":{}}})", good_claims()),
  };
  expect_accepted(signed_token(kHeader, good_claims(), kTestKey));
  for (const auto& payload : payloads) {
    expect_ignored(signed_token(kHeader, payload, kTestKey));
  }
}

TEST_F(Step1Cookie, SignedPartsThatAreNotBase64urlAreNoCookie) {
  // The signature is right, so the parser gets to see what an attacker with an old key could send.
  for (const auto& claims : {"\x80", "\xff\xff\xff\xff", "A\xffZ", "!!!!", "e30.e30", "e30=", ""}) {
    expect_ignored(signed_text(base64url(kHeader) + "." + claims, kTestKey));
  }
  const auto good = signed_token(kHeader, good_claims(), kTestKey);
  expect_ignored(good + "\x80");
  expect_ignored("\x80" + good);
  expect_ignored(good.substr(0, 5) + "\xff" + good.substr(5));
}

TEST_F(Step1Cookie, OversizedTokenIsNoCookieThoughItVerifies) {
  const auto now = now_in_seconds();
  const auto padded =
      fmt::format(R"({{"aud":"{}","iat":{},"exp":{},"username":"mallory","x":"{}"}})", kAudience,
                  now, now + 1000, std::string(4000, 'x'));
  expect_ignored(signed_token(kHeader, padded, kTestKey));
}

TEST_F(Step1Cookie, TwoServersWithOneKeyAcceptEachOthersCookies) {
  ServerProcess other{step()};
  HttpClient client{server().url()};
  HttpClient other_client{other.url()};
  const auto cookie = logged_in_cookie(client, "tina");
  EXPECT_TRUE(other_client.get("/", {cookie_header("session", cookie)}).contains("as tina"));
  const auto back = logged_in_cookie(other_client, "ulf");
  EXPECT_TRUE(client.get("/", {cookie_header("session", back)}).contains("as ulf"));
}

TEST_F(Step1Cookie, OldKeysVerifyAndNeverSign) {
  HttpClient before{server().url()};
  const auto old_cookie = logged_in_cookie(before, "vera");
  const std::string new_key(40, 'n');
  ServerProcess rotated{
      step(),
      {{"SECRET_KEY", new_key},
       {"SECRET_KEY_FALLBACKS", std::string(32, 'x') + "," + std::string{kTestKey}}}};
  HttpClient after{rotated.url()};
  EXPECT_TRUE(after.get("/", {cookie_header("session", old_cookie)}).contains("as vera"));
  const auto new_cookie = logged_in_cookie(after, "vera");
  EXPECT_TRUE(after.get("/", {cookie_header("session", new_cookie)}).contains("as vera"));
  EXPECT_TRUE(before.get("/", {cookie_header("session", new_cookie)}).contains("not logged in"));
  ServerProcess without_fallback{step(), {{"SECRET_KEY", new_key}}};
  HttpClient strict{without_fallback.url()};
  EXPECT_TRUE(strict.get("/", {cookie_header("session", old_cookie)}).contains("not logged in"));
  EXPECT_TRUE(strict.get("/", {cookie_header("session", new_cookie)}).contains("as vera"));
}

TEST_F(Step1Cookie, SecureCookiesBearTheHostPrefix) {
  ServerProcess secure{step(), {{"COOKIE_SECURE", "1"}}};
  HttpClient client{secure.url()};
  for (const auto& response : {client.post("/login", "username=walter"), client.get("/logout")}) {
    const auto cookie = response.header("Set-Cookie").value_or("");
    EXPECT_THAT(cookie, testing::StartsWith("__Host-session="));
    EXPECT_THAT(cookie, HasSubstr("; Secure"));
    EXPECT_THAT(cookie, HasSubstr("; Path=/"));
  }
  const auto value = logged_in_cookie(client, "walter", "__Host-session");
  EXPECT_TRUE(client.get("/", {cookie_header("__Host-session", value)}).contains("as walter"));
  EXPECT_TRUE(client.get("/", {cookie_header("session", value)}).contains("not logged in"));
}

TEST_F(Step1Cookie, CookiesAreNotSecureWithoutTheSetting) {
  for (const auto& value : {"", "0"}) {
    ServerProcess plain{step(), {{"COOKIE_SECURE", value}}};
    const auto login = HttpClient{plain.url()}.post("/login", "username=xaver");
    EXPECT_THAT(login.header("Set-Cookie").value_or(""), Not(HasSubstr("Secure")));
  }
}

TEST_F(Step1Cookie, PagesMayLoadNothingButTheirStyleAndSendFormsHereOnly) {
  const auto page = HttpClient{server().url()}.get("/");
  std::smatch style;
  ASSERT_TRUE(std::regex_search(page.body, style, std::regex{"<style>([^<]+)</style>"}));
  EXPECT_EQ(page.header("Content-Security-Policy"),
            fmt::format("default-src 'none'; style-src 'sha256-{}'; form-action 'self'; "
                        "base-uri 'none'; frame-ancestors 'none'",
                        sha256_in_base64(style[1])));
}

TEST_F(Step1Cookie, MalformedRequestIsAnsweredInOurOwnWords) {
  for (const auto& header_line : {"Host: second\r\n", "Cookie\r\n", "Content-Length: ten\r\n"}) {
    RawConnection connection{server().url()};
    connection.send(request_text("GET", "/", header_line));
    const auto response = connection.read_response();
    EXPECT_EQ(response.status, 400) << header_line;
    EXPECT_THAT(response.body, HasSubstr("<p>The request is malformed.</p>")) << header_line;
  }
}

TEST_F(Step1Cookie, BodyOfAnotherTypeIsNoForm) {
  for (const auto& type : {"text/plain", "multipart/form-data; boundary=x", "application/json"}) {
    const auto response =
        HttpClient{server().url()}.post("/login", "username=mallory", {{"Content-Type", type}});
    EXPECT_EQ(response.status, 400) << type;
    EXPECT_EQ(response.header("Set-Cookie"), std::nullopt) << type;
  }
}

TEST_F(Step1Cookie, BodyWithoutLengthIs411) {
  RawConnection connection{server().url()};
  connection.send(
      "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  EXPECT_EQ(connection.read_response().status, 411);
}

TEST_F(Step1Cookie, TooLargeRequestIs413) {
  RawConnection announced{server().url()};
  announced.send("POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000000\r\n\r\n");
  EXPECT_THAT(announced.read_to_end(), testing::StartsWith("HTTP/1.1 413 "));
  RawConnection headers{server().url()};
  headers.send("GET / HTTP/1.1\r\nX: " + std::string(70000, 'x') + "\r\n\r\n");
  EXPECT_THAT(headers.read_response().status, 413);
}

TEST_F(Step1Cookie, ClientThatGoesOnSendingIsCutOff) {
  RawConnection endless{server().url()};
  const std::string bytes(64 * 1024, 'x');
  EXPECT_TRUE(wait_until([&] { return !endless.send(bytes); }));
  EXPECT_EQ(HttpClient{server().url()}.get("/").status, 200);
}

TEST_F(Step1Cookie, RequestThatArrivesByteByByteIsAnswered) {
  RawConnection connection{server().url()};
  const std::string request =
      "POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
      "Content-Length: 15\r\n\r\nusername=yvonne";
  for (const char byte : request) {
    ASSERT_TRUE(connection.send({&byte, 1}));
  }
  EXPECT_EQ(connection.read_response().status, 302);
}

}  // namespace
}  // namespace sessions::test
