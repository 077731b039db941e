#include "http_scenarios.hpp"

#include <fmt/format.h>

#include <array>
#include <regex>

#include "raw_connection.hpp"
#include "rule.hpp"

namespace sessions::test {

using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

namespace {

constexpr const char* kAnonymous = "You are not logged in";

/// The parts between ';', without the spaces around them.
std::vector<std::string> attributes_of(const std::string& set_cookie) {
  std::vector<std::string> parts;
  static const std::regex kSeparator{";\\s*"};
  std::copy(std::sregex_token_iterator{set_cookie.begin(), set_cookie.end(), kSeparator, -1},
            std::sregex_token_iterator{}, std::back_inserter(parts));
  return parts;
}

std::vector<std::string> names_in(const std::string& allow) {
  std::vector<std::string> names;
  static const std::regex kSeparator{"\\s*,\\s*"};
  std::copy(std::sregex_token_iterator{allow.begin(), allow.end(), kSeparator, -1},
            std::sregex_token_iterator{}, std::back_inserter(names));
  return names;
}

/// The names of the headers that do not depend on the moment or the connection, sorted, with
/// values.
std::vector<std::string> lasting_headers(const Response& response) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : response.headers) {
    if (name != "Date" && name != "Set-Cookie") {
      lines.push_back(name + ": " + value);
    }
  }
  std::ranges::sort(lines);
  return lines;
}

std::string with_changed_character(std::string text, std::size_t position) {
  text[position] = text[position] == 'A' ? 'B' : 'A';
  return text;
}

}  // namespace

std::span<const Scenario<HttpScenarios>> HttpScenarios::all() {
  using Self = HttpScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"VisitorIsAnonymousAtFirst", &Self::visitor_is_anonymous_at_first},
      Scenario<Self>{"LoginPageHasForm", &Self::login_page_has_form},
      Scenario<Self>{"LoginLeadsToPageWithName", &Self::login_leads_to_page_with_name},
      Scenario<Self>{"LogoutEndsLoginAndDeletesCookie",
                     &Self::logout_ends_login_and_deletes_cookie},
      Scenario<Self>{"OnlyAVisitLogsOut", &Self::only_a_visit_logs_out},
      Scenario<Self>{"LoggingInAgainChangesUser", &Self::logging_in_again_changes_user},
      Scenario<Self>{"TwoBrowsersDoNotMeet", &Self::two_browsers_do_not_meet},
      Scenario<Self>{"CookieHasItsAttributes", &Self::cookie_has_its_attributes},
      Scenario<Self>{"PagesHaveTheirHeaders", &Self::pages_have_their_headers},
      Scenario<Self>{"PagesAreHtml5", &Self::pages_are_html5},
      Scenario<Self>{"UnknownPathIs404", &Self::unknown_path_is_404},
      Scenario<Self>{"WrongMethodIs405WithAllow", &Self::wrong_method_is_405_with_allow},
      Scenario<Self>{"HeadHasSameHeadersAndNoBody", &Self::head_has_same_headers_and_no_body},
      Scenario<Self>{"OptionsAnswersAllowAndChangesNothing",
                     &Self::options_answers_allow_and_changes_nothing},
      Scenario<Self>{"LoginWithoutUsableNameIs400AndSaysWhy",
                     &Self::login_without_usable_name_is_400_and_says_why},
      Scenario<Self>{"LongestNameLogsIn", &Self::longest_name_logs_in},
      Scenario<Self>{"NamesAreDecodedAsFormsAre", &Self::names_are_decoded_as_forms_are},
      Scenario<Self>{"NamesAreEscapedInPage", &Self::names_are_escaped_in_page},
      Scenario<Self>{"Http10IsClosedUnlessKeptAlive", &Self::http10_is_closed_unless_kept_alive},
      Scenario<Self>{"Http11IsKeptAliveUnlessClosed", &Self::http11_is_kept_alive_unless_closed},
      Scenario<Self>{"MalformedRequestIs400AndNextClientIsServed",
                     &Self::malformed_request_is_400_and_next_client_is_served},
      Scenario<Self>{"FirstCookieOfSameNameCounts", &Self::first_cookie_of_same_name_counts},
      Scenario<Self>{"ChangedCookieIsNoCookie", &Self::changed_cookie_is_no_cookie},
      Scenario<Self>{"GarbageCookiesAreNoCookie", &Self::garbage_cookies_are_no_cookie},
      Scenario<Self>{"OtherCookiesDoNoHarm", &Self::other_cookies_do_no_harm},
  };
  return kAll;
}

std::unique_ptr<HttpClient> HttpScenarios::logged_in(const std::string& username) {
  auto client = std::make_unique<HttpClient>(url());
  client->keep_cookies();
  EXPECT_EQ(client->post("/login", "username=" + encoded(username)).status, 302);
  return client;
}

bool HttpScenarios::is_anonymous(const std::string& cookies) {
  const auto response = HttpClient{url()}.get("/", {{"Cookie", cookies}});
  EXPECT_EQ(response.status, 200) << cookies;
  return response.contains(kAnonymous) && !response.contains("Logged in as");
}

void HttpScenarios::visitor_is_anonymous_at_first() {
  const Rule rule{"pages.anonymous"};
  const auto response = HttpClient{url()}.get("/");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr(kAnonymous));
  EXPECT_THAT(response.body, Not(HasSubstr("Logged in as")));
  EXPECT_THAT(response.body, HasSubstr("/login"));
  EXPECT_EQ(response.header("Set-Cookie"), std::nullopt);
}

void HttpScenarios::login_page_has_form() {
  const Rule rule{"pages.login-form"};
  const auto response = HttpClient{url()}.get("/login");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, ContainsRegex("<form [^>]*method=\"?post"));
  EXPECT_THAT(response.body, ContainsRegex("<input [^>]*name=\"?username"));
}

void HttpScenarios::login_leads_to_page_with_name() {
  const Rule rule{"pages.login"};
  const auto name = unique_name("anna");
  HttpClient client{url()};
  client.keep_cookies();
  const auto login = client.post("/login", "username=" + name);
  EXPECT_EQ(login.status, 302);
  EXPECT_EQ(login.header("Location"), "/");
  const auto response = client.get("/");
  EXPECT_EQ(response.status, 200);
  EXPECT_THAT(response.body, HasSubstr("Logged in as " + name));
  EXPECT_THAT(response.body, Not(HasSubstr(kAnonymous)));
  EXPECT_THAT(response.body, HasSubstr("/logout"));
}

void HttpScenarios::logout_ends_login_and_deletes_cookie() {
  const Rule rule{"pages.logout"};
  const auto client = logged_in(unique_name("bert"));
  const auto logout = client->get("/logout");
  EXPECT_EQ(logout.status, 302);
  EXPECT_EQ(logout.header("Location"), "/");
  ASSERT_EQ(logout.all_headers("Set-Cookie").size(), 1U);
  const auto attributes = attributes_of(*logout.header("Set-Cookie"));
  EXPECT_THAT(attributes, testing::Contains("Path=/"));
  EXPECT_THAT(attributes, testing::AnyOf(testing::Contains("Max-Age=0"),
                                         testing::Contains(testing::HasSubstr("1970"))));
  EXPECT_THAT(client->get("/").body, HasSubstr(kAnonymous));
  EXPECT_EQ(HttpClient{url()}.get("/logout").status, 302) << "logout without a login";
}

void HttpScenarios::only_a_visit_logs_out() {
  const Rule rule{"pages.logout-by-visit"};
  const auto name = unique_name("bodo");
  const auto client = logged_in(name);
  const auto in_advance = [&](const std::string& header, const std::string& purpose) {
    return client->get("/logout", {{header, purpose}});
  };
  for (const auto& response :
       {client->request("HEAD", "/logout"), in_advance("Sec-Purpose", "prefetch"),
        in_advance("Sec-Purpose", "prefetch;prerender"), in_advance("Purpose", "prefetch")}) {
    EXPECT_GE(response.status, 400);
    EXPECT_EQ(response.header("Set-Cookie"), std::nullopt);
    EXPECT_THAT(client->get("/").body, HasSubstr("Logged in as " + name));
  }
  EXPECT_EQ(client->get("/logout", {{"Sec-Purpose", "navigation"}}).status, 302);
  EXPECT_THAT(client->get("/").body, HasSubstr(kAnonymous));
}

void HttpScenarios::logging_in_again_changes_user() {
  const Rule rule{"pages.login-again"};
  const auto first = unique_name("clara");
  const auto second = unique_name("dora");
  const auto client = logged_in(first);
  client->post("/login", "username=" + second);
  const auto response = client->get("/");
  EXPECT_THAT(response.body, HasSubstr("Logged in as " + second));
  EXPECT_THAT(response.body, Not(HasSubstr(first)));
}

void HttpScenarios::two_browsers_do_not_meet() {
  const Rule rule{"pages.visitors-apart"};
  const auto first = unique_name("emil");
  const auto second = unique_name("frida");
  const auto one = logged_in(first);
  const auto other = logged_in(second);
  EXPECT_THAT(one->get("/").body, HasSubstr("Logged in as " + first));
  EXPECT_THAT(other->get("/").body, HasSubstr("Logged in as " + second));
  one->get("/logout");
  EXPECT_THAT(other->get("/").body, HasSubstr("Logged in as " + second));
}

void HttpScenarios::cookie_has_its_attributes() {
  const auto login = HttpClient{url()}.post("/login", "username=gustav");
  ASSERT_EQ(login.all_headers("Set-Cookie").size(), 1U);
  const auto attributes = attributes_of(*login.header("Set-Cookie"));
  {
    const Rule rule{"cookie.http-only"};
    EXPECT_THAT(attributes.front(), ContainsRegex("session=[A-Za-z0-9_.-]+$"));
    EXPECT_THAT(attributes, testing::Contains("HttpOnly"));
  }
  {
    const Rule rule{"cookie.same-site"};
    EXPECT_THAT(attributes, testing::Contains("SameSite=Lax"));
  }
  const Rule rule{"cookie.scope"};
  EXPECT_THAT(attributes, testing::Contains("Path=/"));
  EXPECT_THAT(attributes, Not(testing::Contains(testing::StartsWith("Domain"))));
}

void HttpScenarios::pages_have_their_headers() {
  HttpClient client{url()};
  const auto user = logged_in(unique_name("hanna"));
  for (const auto& response :
       {client.get("/"), user->get("/"), client.get("/login"), client.get("/logout"),
        client.get("/nowhere"), client.post("/login", ""), client.request("DELETE", "/"),
        client.post("/login", "username=hanna")}) {
    SCOPED_TRACE(response.status);
    {
      const Rule rule{"headers.not-cached"};
      EXPECT_EQ(response.header("Cache-Control"), "no-store");
      EXPECT_EQ(response.header("Vary"), "Cookie");
    }
    {
      const Rule rule{"headers.protective"};
      EXPECT_EQ(response.header("X-Content-Type-Options"), "nosniff");
      EXPECT_THAT(response.header("Content-Security-Policy").value_or(""),
                  HasSubstr("frame-ancestors 'none'"));
    }
    const Rule rule{"headers.plain"};
    EXPECT_EQ(response.header("Content-Type"), "text/html; charset=utf-8");
    EXPECT_TRUE(response.header("Date").has_value());
    for (const auto& name : {"Content-Type", "Content-Length", "Connection"}) {
      EXPECT_LE(response.all_headers(name).size(), 1U) << name;
    }
  }
}

void HttpScenarios::pages_are_html5() {
  const Rule rule{"pages.html5"};
  HttpClient client{url()};
  for (const auto& path : {"/", "/login", "/nowhere"}) {
    const auto body = client.get(path).body;
    SCOPED_TRACE(body);
    EXPECT_THAT(body, testing::StartsWith("<!DOCTYPE html>"));
    for (const auto& part : {"<html", "<title>", "</title>", "</body>", "</html>"}) {
      EXPECT_THAT(body, HasSubstr(part));
    }
  }
}

void HttpScenarios::unknown_path_is_404() {
  const Rule rule{"pages.not-found"};
  HttpClient client{url()};
  for (const auto& path :
       {"/nowhere", "/login/x", "/Login", "/favicon.ico", "/%2e%2e/etc/passwd"}) {
    EXPECT_EQ(client.get(path).status, 404) << path;
  }
  EXPECT_EQ(client.get("/?x=1").status, 200) << "a query does not change the path";
}

void HttpScenarios::wrong_method_is_405_with_allow() {
  const Rule rule{"pages.wrong-method"};
  HttpClient client{url()};
  const auto login = client.request("PUT", "/login", {}, "username=ida");
  EXPECT_EQ(login.status, 405);
  EXPECT_THAT(names_in(login.header("Allow").value_or("")),
              testing::UnorderedElementsAre("GET", "HEAD", "POST", "OPTIONS"));
  const auto index = client.post("/", "username=ida");
  EXPECT_EQ(index.status, 405);
  EXPECT_THAT(names_in(index.header("Allow").value_or("")),
              testing::UnorderedElementsAre("GET", "HEAD", "OPTIONS"));
  EXPECT_EQ(client.request("DELETE", "/logout").status, 405);
  EXPECT_EQ(client.request("PATCH", "/nowhere").status, 404);
}

void HttpScenarios::head_has_same_headers_and_no_body() {
  const Rule rule{"pages.head"};
  const auto name = unique_name("jan");
  HttpClient client{url()};
  const auto cookie = logged_in_cookie(client, name);
  const auto cookie_line = "Cookie: session=" + cookie + "\r\n";
  for (const auto& path : {"/", "/login", "/nowhere"}) {
    SCOPED_TRACE(path);
    RawConnection connection{url()};
    connection.send(request_text("HEAD", path, cookie_line));
    const auto head = connection.read_response(true);
    connection.send(request_text("GET", path, cookie_line));
    const auto get = connection.read_response();
    EXPECT_EQ(head.status, get.status);
    EXPECT_EQ(lasting_headers(head), lasting_headers(get));
    connection.send(request_text("HEAD", path, cookie_line + "Connection: close\r\n"));
    EXPECT_THAT(connection.read_to_end(), testing::EndsWith("\r\n\r\n"));
  }
}

void HttpScenarios::options_answers_allow_and_changes_nothing() {
  const Rule rule{"pages.options"};
  const auto client = logged_in(unique_name("karl"));
  const auto before = visits_in(client->get("/"));
  const auto index = client->request("OPTIONS", "/");
  EXPECT_EQ(index.status / 100, 2);
  EXPECT_THAT(names_in(index.header("Allow").value_or("")),
              testing::UnorderedElementsAre("GET", "HEAD", "OPTIONS"));
  const auto logout = client->request("OPTIONS", "/logout");
  EXPECT_EQ(logout.header("Set-Cookie"), std::nullopt);
  const auto login = client->request("OPTIONS", "/login");
  EXPECT_THAT(names_in(login.header("Allow").value_or("")),
              testing::UnorderedElementsAre("GET", "HEAD", "POST", "OPTIONS"));
  EXPECT_EQ(login.header("Set-Cookie"), std::nullopt);
  const auto after = client->get("/");
  EXPECT_THAT(after.body, HasSubstr("Logged in as karl"));
  EXPECT_EQ(visits_in(after), before == -1 ? -1 : before + 1);
}

void HttpScenarios::login_without_usable_name_is_400_and_says_why() {
  const Rule rule{"names.refused"};
  struct Case {
    std::string form;
    std::string reason;
  };
  const std::vector<Case> cases{
      {"", "missing"},
      {"user=lena", "missing"},
      {"usernam=x&Username=y", "missing"},
      {"username=", "empty"},
      {"username", "empty"},
      {"username=" + std::string(257, 'l'), "256"},
      {"username=" + std::string(60000, 'l'), "256"},
      {"username=%C3%A4" + std::string(255, 'l'), "256"},
      {"username=%ff%fe", "UTF-8"},
      {"username=a%C3", "UTF-8"},
      {"username=%ED%A0%80", "UTF-8"},
      {"username=%C0%AF", "UTF-8"},
      {"username=a%00b", "control"},
      {"username=a%0d%0aSet-Cookie:%20x=y", "control"},
      {"username=%09", "control"},
      {"username=%7F", "control"},
      {"username=%C2%85", "control"},
      {"username=+++", "spaces only"},
      {"username=%C2%A0%E3%80%80", "spaces only"},  // no-break and ideographic space
      {"username=%E3%85%A4", "spaces only"},        // U+3164, a letter without a shape
      {"username=a%E2%80%AEb", "U+202E"},           // writes on from right to left
      {"username=a%E2%81%A6b", "U+2066"},           // isolates a direction
      {"username=a%E2%80%8Bb", "U+200B"},           // has no width
      {"username=a%E2%80%8Db", "U+200D"},           // joins, has no width
      {"username=%EF%BB%BFa", "U+FEFF"},            // a byte order mark
      {"username=a%C2%ADb", "U+00AD"},              // a soft hyphen
      {"username=a%F3%A0%81%A1b", "U+E0061"},       // a tag
      {"username=a%E2%80%A8b", "U+2028"},           // separates lines
      {"username=a%EF%BF%BEb", "noncharacter"},     // U+FFFE
      {"username=a%EF%B7%90b", "noncharacter"},     // U+FDD0
      {"username=a%F4%8F%BF%BFb", "noncharacter"},  // U+10FFFF
  };
  HttpClient client{url()};
  for (const auto& [form, reason] : cases) {
    SCOPED_TRACE(form.substr(0, 60));
    const auto response = client.post("/login", form);
    EXPECT_EQ(response.status, 400);
    EXPECT_THAT(response.body, HasSubstr(reason));
    EXPECT_EQ(response.header("Set-Cookie"), std::nullopt);
  }
  const auto json =
      client.post("/login", "{\"username\":\"lena\"}", {{"Content-Type", "application/json"}});
  EXPECT_EQ(json.status, 400);
  EXPECT_EQ(client.request("POST", "/login").status, 400) << "no body at all";
}

void HttpScenarios::longest_name_logs_in() {
  const Rule rule{"names.accepted"};
  const auto start = unique_name("max");
  for (const auto& name :
       {start + std::string(256 - start.size(), 'x'), "M\xC3\xA4x \xF0\x9F\x8D\xAA" + start,
        "\xF0\x9F\xAB\xA0" /* of Unicode 14 */ + start, "\xE2\x9D\xA4\xEF\xB8\x8F" + start,
        "a b  c;d,e=f" + start}) {
    EXPECT_THAT(logged_in(name)->get("/").body, HasSubstr("Logged in as " + name));
  }
}

void HttpScenarios::names_are_decoded_as_forms_are() {
  const Rule rule{"names.decoded"};
  HttpClient client{url()};
  const auto id = unique_name("");
  const std::vector<std::pair<std::string, std::string>> cases{
      {"username=nils+holgersson" + id, "nils holgersson" + id},
      {"username=nils%2Bholgersson" + id, "nils+holgersson" + id},
      {"username=100%25" + id, "100%" + id},
      {"a=b&username=%6eils" + id + "&c=d", "nils" + id},
      {"user%6eame=first" + id + "&username=second", "first" + id}};
  for (const auto& [form, name] : cases) {
    const auto cookie = client.post("/login", form).cookie("session");
    ASSERT_TRUE(cookie.has_value()) << form;
    EXPECT_THAT(client.get("/", {cookie_header("session", *cookie)}).body,
                ContainsRegex("Logged in as " + std::regex_replace(name, std::regex{"\\+"}, "\\+") +
                              "([.<[:space:]]|$)"));
  }
  const auto typed =
      client.post("/login", "username=olaf" + id,
                  {{"Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8"}});
  EXPECT_EQ(typed.status, 302);
}

void HttpScenarios::names_are_escaped_in_page() {
  const Rule rule{"pages.escaped"};
  const auto body = logged_in("<script>alert(1)</script>&\"'" + unique_name(""))->get("/").body;
  EXPECT_THAT(body, Not(HasSubstr("<script")));
  EXPECT_THAT(body, HasSubstr("Logged in as &lt;script&gt;alert(1)&lt;/script&gt;&amp;"));
}

void HttpScenarios::http10_is_closed_unless_kept_alive() {
  const Rule rule{"http.persistence"};
  RawConnection connection{url()};
  connection.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_EQ(connection.read_response().status, 200);
  connection.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_THAT(connection.read_to_end(), HasSubstr(kAnonymous));
}

void HttpScenarios::http11_is_kept_alive_unless_closed() {
  const Rule rule{"http.persistence"};
  RawConnection connection{url()};
  for (int request = 0; request < 3; ++request) {
    connection.send(request_text("GET", "/"));
    const auto response = connection.read_response();
    EXPECT_EQ(response.status, 200);
    EXPECT_THAT(response.header("Connection").value_or("keep-alive"),
                testing::StrCaseEq("keep-alive"));
  }
  connection.send(request_text("GET", "/", "Connection: Close\r\n"));
  const auto last = connection.read_to_end();
  EXPECT_THAT(last, HasSubstr(kAnonymous));
  EXPECT_THAT(last, ContainsRegex("[Cc]onnection: [Cc]lose"));
}

void HttpScenarios::malformed_request_is_400_and_next_client_is_served() {
  const Rule rule{"http.malformed"};
  for (const auto& bytes :
       {"GARBAGE\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: x\r\nno colon here\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: ten\r\n\r\nusername=a"}) {
    SCOPED_TRACE(bytes);
    RawConnection connection{url()};
    connection.send(bytes);
    EXPECT_EQ(connection.read_response().status, 400);
    EXPECT_EQ(HttpClient{url()}.get("/").status, 200);
  }
}

void HttpScenarios::first_cookie_of_same_name_counts() {
  const Rule rule{"cookie.first"};
  HttpClient client{url()};
  const auto first = unique_name("paul");
  const auto one = "session=" + logged_in_cookie(client, first);
  const auto other = "session=" + logged_in_cookie(client, unique_name("quirin"));
  EXPECT_THAT(client.get("/", {{"Cookie", one + "; " + other}}).body,
              HasSubstr("Logged in as " + first));
  EXPECT_TRUE(is_anonymous("session=broken; " + one));
  EXPECT_TRUE(is_anonymous("session=; " + one));
}

void HttpScenarios::changed_cookie_is_no_cookie() {
  const Rule rule{"cookie.forgery"};
  HttpClient client{url()};
  const auto cookie = logged_in_cookie(client, unique_name("rosa"));
  ASSERT_FALSE(is_anonymous("session=" + cookie));
  // Not the last character of a part: some of its bits may mean nothing.
  std::size_t start = 0;
  while (start < cookie.size()) {
    const auto end = std::min(cookie.find('.', start), cookie.size());
    const auto middle = start + (end - start) / 2;
    EXPECT_TRUE(is_anonymous("session=" + with_changed_character(cookie, middle))) << middle;
    EXPECT_TRUE(is_anonymous("session=" + with_changed_character(cookie, start))) << start;
    start = end + 1;
  }
  const auto last_dot = cookie.rfind('.');
  EXPECT_TRUE(is_anonymous("session=" + cookie.substr(0, last_dot)));
  EXPECT_TRUE(is_anonymous("session=" + cookie.substr(0, last_dot + 1)));
  EXPECT_TRUE(is_anonymous("session=" + cookie.substr(0, cookie.size() - 1)));
  EXPECT_TRUE(is_anonymous("session=" + cookie + "A"));
  EXPECT_TRUE(is_anonymous("session=" + cookie + "."));
  EXPECT_TRUE(is_anonymous("session=." + cookie));
  EXPECT_TRUE(is_anonymous("session=" + cookie + "="));
  EXPECT_TRUE(is_anonymous("Session=" + cookie));
  EXPECT_TRUE(is_anonymous("xsession=" + cookie));
}

void HttpScenarios::garbage_cookies_are_no_cookie() {
  const Rule rule{"cookie.garbage"};
  for (const auto& value :
       {std::string{}, std::string{"."}, std::string{".."}, std::string{"..."},
        std::string{"a.b.c"}, std::string{"\x80\xff.\xfe.\x90"},
        std::string{"\xC3\xA4.\xC3\xB6.\xC3\xBC"},
        std::string{"eyJhbGciOiJIUzI1NiJ9.\xff\xff.\xff"}, std::string{"\"quoted\""},
        std::string(5000, 'A'), std::string(5000, '.'), std::string(20000, '\xff')}) {
    EXPECT_TRUE(is_anonymous("session=" + value)) << value.substr(0, 40);
  }
  EXPECT_TRUE(
      is_anonymous(";;;=;=;session"
                   "=;"));
}

void HttpScenarios::other_cookies_do_no_harm() {
  const Rule rule{"cookie.others"};
  HttpClient client{url()};
  const auto name = unique_name("sven");
  const auto ours = "session=" + logged_in_cookie(client, name);
  for (const auto& cookies :
       {"other=" + std::string(4000, 'x') + "; " + ours, ours + "; other=" + std::string(4000, 'x'),
        "a=1;" + ours + ";b=2", "  " + ours + "  ; c=d=e", "strange; " + ours + "; odd"}) {
    EXPECT_THAT(client.get("/", {{"Cookie", cookies}}).body, HasSubstr("Logged in as " + name))
        << cookies.substr(0, 40);
  }
}

}  // namespace sessions::test
