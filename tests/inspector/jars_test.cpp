// How the inspector tells visitors, cookies and store calls apart.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cookie_check.hpp"
#include "cookie_jars.hpp"
#include "server_process.hpp"
#include "token.hpp"

namespace sessions::inspector {
namespace {

using sessions::test::kTestKey;
using sessions::test::signed_token;
using testing::ElementsAre;
using testing::Pair;

constexpr auto kHeader = R"({"alg":"HS256","typ":"JWT"})";

TEST(InspectorCookies, ReadsTheCookieHeaderInItsOrder) {
  EXPECT_THAT(cookies_in(" a=1;b = x=y ; c;"),
              ElementsAre(Pair("a", "1"), Pair("b", "x=y"), Pair("", "c")));
  EXPECT_TRUE(cookies_in("").empty());
}

TEST(InspectorCookies, KnowsWhoseSignatureItIs) {
  const std::string old_key(32, 'o');
  const CookieKeys keys{kTestKey, old_key};
  const auto payload = R"({"sid":"abc"})";
  EXPECT_EQ(keys.signature_of(signed_token(kHeader, payload, kTestKey)), "current");
  EXPECT_EQ(keys.signature_of(signed_token(kHeader, payload, old_key)), "old");
  EXPECT_EQ(keys.signature_of(signed_token(kHeader, payload, std::string(32, 'f'))), "wrong");
  EXPECT_EQ(keys.signature_of("eyJhIjoxfQ.."), "wrong");
  EXPECT_EQ(keys.signature_of("3f2504e0-4f89-41d3-9a0c-0305e82c3301"), "none");
  EXPECT_EQ((CookieKeys{"", ""}).signature_of(signed_token(kHeader, payload, kTestKey)),
            "unchecked");
}

TEST(InspectorCookies, TakesTextsThatNameSomebodyFromACookie) {
  const auto token = signed_token(kHeader, R"({"aud":"x","username":"alice","exp":1})", kTestKey);
  EXPECT_THAT(identities_in(token), ElementsAre(token, "alice"));
  EXPECT_THAT(identities_in("plain"), ElementsAre("plain"));
  EXPECT_THAT(identities_in("eyJ.e.f"), ElementsAre("eyJ.e.f"));  // looks like a token, is none
}

TEST(InspectorCookies, SeesWhomACommandNames) {
  EXPECT_TRUE(names("HINCRBY user:alice visits 1", "alice"));
  EXPECT_FALSE(names("HINCRBY user:alice2 visits 1", "alice"));
  EXPECT_FALSE(names("HINCRBY user:malice visits 1", "alice"));
  EXPECT_TRUE(
      names("EVALSHA x session:{tag}:0123456789abcdefABCDEF", "tag.0123456789abcdefABCDEF"));
  EXPECT_FALSE(
      names("EVALSHA x session:{tag}:other6789abcdefABCDEF", "tag.0123456789abcdefABCDEF"));
  EXPECT_FALSE(names("", "alice"));
}

TEST(InspectorJars, ExpireByMaxAgeBeforeExpires) {
  CookieJars jars;
  const auto id = jars.seen(1, "browser", {}, true).id;
  auto* jar =
      jars.answered(1, id, {"a=1; Max-Age=100; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "b=2"});
  ASSERT_EQ(jar->cookies.size(), 2);
  EXPECT_NEAR(static_cast<double>(*jar->cookies.at("a").expires - now()), 100e6, 5e6);
  EXPECT_FALSE(jar->cookies.at("b").expires);
  jars.answered(1, id, {"b=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"});
  EXPECT_FALSE(jar->cookies.contains("b"));
  EXPECT_THAT(jar->past, ElementsAre(Pair("b", "2")));
}

TEST(InspectorJars, KeepACookieThatABrowserHoldsBackAcrossSites) {
  CookieJars jars;
  jars.seen(1, "browser", {{"a", "1"}}, true);
  EXPECT_TRUE(jars.seen(1, "browser", {}, false).cookies.contains("a"));
  EXPECT_FALSE(jars.seen(1, "browser", {}, true).cookies.contains("a"));
}

TEST(InspectorJars, AreBounded) {
  CookieJars jars;
  for (std::uint64_t visitor = 1; visitor <= 150; ++visitor) {
    jars.seen(visitor, "browser", {{"a", std::to_string(visitor)}}, true);
  }
  EXPECT_EQ(jars.all().size(), CookieJars::kMaxJars);
  EXPECT_EQ(jars.find(1), nullptr);
  EXPECT_EQ(jars.answered(1, 1, {"a=2"}), nullptr);
}

}  // namespace
}  // namespace sessions::inspector
