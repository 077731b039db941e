#include "redis_scenarios.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <fstream>

#include "hosts_file.hpp"
#include "rule.hpp"
#include "tls_certificate.hpp"

namespace sessions::test {

using testing::HasSubstr;
using testing::Not;

std::span<const Scenario<RedisScenarios>> RedisScenarios::storing() {
  using Self = RedisScenarios;
  static constexpr std::array kAll{
      Scenario<Self>{"CounterIsFieldOfHashNamedAfterUser",
                     &Self::counter_is_field_of_hash_named_after_user},
      Scenario<Self>{"NamesWithAnyCharactersAreTheirOwnKeys",
                     &Self::names_with_any_characters_are_their_own_keys},
      Scenario<Self>{"ForeignKeysStayUntouched", &Self::foreign_keys_stay_untouched},
      Scenario<Self>{"WrongTypeIs500AndKeyStaysUntouched",
                     &Self::wrong_type_is_500_and_key_stays_untouched},
      Scenario<Self>{"TwoServersShareStoreAndKey", &Self::two_servers_share_store_and_key},
      Scenario<Self>{"CheckPrintsPong", &Self::check_prints_pong},
      Scenario<Self>{"CheckSaysWhatIsWrong", &Self::check_says_what_is_wrong},
      Scenario<Self>{"RefusesWrongRedisUrls", &Self::refuses_wrong_redis_urls},
      Scenario<Self>{"SpeaksTls", &Self::speaks_tls},
      Scenario<Self>{"RefusesTlsBefore12", &Self::refuses_old_tls},
      Scenario<Self>{"LogsInWithPassword", &Self::logs_in_with_password},
      Scenario<Self>{"LogsInWithUserAndPercentEncodedPassword",
                     &Self::logs_in_with_user_and_percent_encoded_password},
      Scenario<Self>{"SelectsDatabase", &Self::selects_database},
      Scenario<Self>{"ConnectsToUnixSocket", &Self::connects_to_unix_socket},
      Scenario<Self>{"ConnectsToNameWithSeveralAddresses",
                     &Self::connects_to_name_with_several_addresses},
      Scenario<Self>{"FollowsThePrimaryThatItsNameMeans",
                     &Self::follows_the_primary_that_its_name_means},
  };
  return kAll;
}

Response RedisScenarios::visit(const std::string& username, const std::string& url) {
  HttpClient client{url};
  return client.get("/", {cookie_header("session", logged_in_cookie(client, username))});
}

void RedisScenarios::counter_is_field_of_hash_named_after_user() {
  const Rule rule{"counter.key"};
  visit("alice");
  visit("alice");
  EXPECT_EQ(redis().command({"HGETALL", "user:alice"}), "visits\n2\n");
  EXPECT_EQ(redis().command({"KEYS", "*"}), "user:alice\n");
}

void RedisScenarios::names_with_any_characters_are_their_own_keys() {
  const Rule rule{"counter.key"};
  for (const std::string name : {"a b", "a*b", "user:alice", "a\"b'c", "%s%n{x}", "../..",
                                 "\xF0\x9F\x8D\xAA", "FLUSHALL", "1", "a\\r\\nb"}) {
    EXPECT_EQ(visits_in(visit(name)), 1) << name;
    EXPECT_EQ(redis().command({"HGET", "user:" + name, "visits"}), "1") << name;
  }
}

void RedisScenarios::foreign_keys_stay_untouched() {
  const Rule rule{"counter.foreign-keys"};
  redis().command({"RPUSH", "celery", "job"});
  redis().command({"SET", "cache", "value", "EX", "1000"});
  redis().command({"HSET", "alice", "visits", "77"});
  for (const std::string name : {"celery", "cache", "alice"}) {
    EXPECT_EQ(visits_in(visit(name)), 1);
  }
  EXPECT_EQ(redis().command({"LRANGE", "celery", "0", "-1"}), "job\n");
  EXPECT_EQ(redis().command({"TTL", "celery"}), "-1");
  EXPECT_EQ(redis().command({"GET", "cache"}), "value");
  EXPECT_GT(std::stoi(*redis().command({"TTL", "cache"})), 900);
  EXPECT_EQ(redis().command({"HGET", "alice", "visits"}), "77");
}

void RedisScenarios::wrong_type_is_500_and_key_stays_untouched() {
  redis().command({"SET", "user:alice", "mine", "EX", "1000"});
  redis().command({"HSET", "user:bert", "visits", "many"});
  for (const std::string name : {"alice", "bert"}) {
    const auto response = visit(name);
    EXPECT_EQ(response.status, 500);
    EXPECT_THAT(response.body, Not(HasSubstr("WRONGTYPE")));
    EXPECT_THAT(response.body, Not(HasSubstr("integer")));
  }
  EXPECT_TRUE(server().logs("WRONGTYPE"));
  EXPECT_TRUE(server().logs("not an integer"));
  EXPECT_EQ(redis().command({"GET", "user:alice"}), "mine");
  EXPECT_GT(std::stoi(*redis().command({"TTL", "user:alice"})), 900);
  EXPECT_EQ(redis().command({"TTL", "user:bert"}), "-1");
  EXPECT_EQ(visits_in(visit("clara")), 1) << "the connection is still good";
}

void RedisScenarios::two_servers_share_store_and_key() {
  ServerProcess other{step(), environment()};
  HttpClient client{server().url()};
  const auto cookie = cookie_header("session", logged_in_cookie(client, "alice"));
  HttpClient other_client{other.url()};
  EXPECT_EQ(visits_in(client.get("/", {cookie})), 1);
  EXPECT_EQ(visits_in(other_client.get("/", {cookie})), 2);
  EXPECT_EQ(visits_in(client.get("/", {cookie})), 3);
}

void RedisScenarios::check_prints_pong() {
  const auto check = run_program({"--check"});
  EXPECT_EQ(check.exit_code, 0);
  EXPECT_EQ(check.standard_output, "PONG\n");
  EXPECT_EQ(check.standard_error, "");
}

void RedisScenarios::check_says_what_is_wrong() {
  const auto closed = fmt::format("redis://:sesame@127.0.0.1:{}", free_port());
  const auto refused = run_program({"--check"}, {{"REDIS_URL", closed}});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.standard_error, HasSubstr("refused"));
  EXPECT_THAT(refused.standard_error, HasSubstr("REDIS_URL"));
  EXPECT_THAT(refused.standard_error, Not(HasSubstr("sesame")));
  RedisProcess locked{{"--requirepass", "sesame"}};
  const auto no_password = run_program({"--check"}, {{"REDIS_URL", locked.url()}});
  EXPECT_EQ(no_password.exit_code, 1);
  EXPECT_THAT(no_password.standard_error, HasSubstr("NOAUTH"));
  redis().freeze();
  const auto frozen = run_program({"--check"});
  redis().thaw();
  EXPECT_EQ(frozen.exit_code, 1);
}

void RedisScenarios::refuses_wrong_redis_urls() {
  for (const std::string url : {"127.0.0.1:6379",
                                "http://127.0.0.1:6379",
                                "redis://",
                                "redis:///0",
                                "redis://127.0.0.1:port",
                                "redis://127.0.0.1:99999",
                                "redis://127.0.0.1:0",
                                "redis://127.0.0.1/zero",
                                "redis://127.0.0.1/-1",
                                "redis://127.0.0.1/1/2",
                                "redis://127.0.0.1/99999999999",
                                "unix://relative.sock",
                                "unix:///tmp/redis.sock?db=x",
                                "unix:///tmp/redis.sock?x=1",
                                "redis://127.0.0.1/0?db=1",
                                "redis://127.0.0.1/0#1",
                                "redis://user@127.0.0.1",
                                "redis://a b",
                                "nonsense",
                                "redis://:p%00w@127.0.0.1"}) {
    SCOPED_TRACE(url);
    const auto refused = run_program({"--port", "0"}, {{"REDIS_URL", url}});
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_THAT(refused.standard_error, HasSubstr("REDIS_URL"));
    EXPECT_EQ(std::ranges::count(refused.standard_error, '\n'), 1) << refused.standard_error;
  }
}

void RedisScenarios::speaks_tls() {
  const TlsCertificate certificate{"IP:127.0.0.1"};
  const auto port = std::to_string(free_port());
  const RedisProcess encrypted{certificate.options_of_redis(port)};
  const auto url = "rediss://127.0.0.1:" + port;
  const ServerProcess trusting{step(), {{"REDIS_URL", url}, {"SSL_CERT_FILE", certificate.file()}}};
  EXPECT_EQ(visits_in(visit("alice", trusting.url())), 1);

  const ServerProcess distrusting{step(), {{"REDIS_URL", url}}};
  expect_unavailable(distrusting.url());
  EXPECT_TRUE(distrusting.logs("self-signed certificate"));

  const ServerProcess misled{
      step(), {{"REDIS_URL", "rediss://localhost:" + port}, {"SSL_CERT_FILE", certificate.file()}}};
  expect_unavailable(misled.url());
  EXPECT_TRUE(misled.logs("hostname mismatch"));

  const ServerProcess plain{step(), {{"REDIS_URL", "rediss" + redis().url().substr(5)}}};
  expect_unavailable(plain.url());
}

void RedisScenarios::refuses_old_tls() {
  const TemporaryFolder folder;
  const TlsCertificate certificate{"IP:127.0.0.1"};
  // OpenSSL itself would refuse TLS 1.1, if it was not told to be generous.
  const std::string generous = folder.path() / "openssl.cnf";
  std::ofstream{generous} << "openssl_conf = all\n[all]\nssl_conf = ssl\n"
                             "[ssl]\nsystem_default = defaults\n"
                             "[defaults]\nMinProtocol = TLSv1\nCipherString = DEFAULT@SECLEVEL=0\n";
  const auto port = std::to_string(free_port());
  auto options = certificate.options_of_redis(port);
  options.insert(options.end(),
                 {"--tls-protocols", "TLSv1.1", "--tls-ciphers", "DEFAULT@SECLEVEL=0"});
  const RedisProcess old{options};
  const ServerProcess modern{step(),
                             {{"REDIS_URL", "rediss://127.0.0.1:" + port},
                              {"SSL_CERT_FILE", certificate.file()},
                              {"OPENSSL_CONF", generous}}};
  expect_unavailable(modern.url());
  EXPECT_TRUE(modern.logs("TLS: "));
  EXPECT_TRUE(modern.logs("protocol version"));
}

void RedisScenarios::logs_in_with_password() {
  RedisProcess locked{{"--requirepass", "sesame"}};
  const auto url = fmt::format("redis://:sesame@127.0.0.1:{}", locked.port());
  ServerProcess other{step(), {{"REDIS_URL", url}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
  EXPECT_THAT(other.process().log(), Not(HasSubstr("sesame")));
}

void RedisScenarios::logs_in_with_user_and_percent_encoded_password() {
  redis().command({"ACL", "SETUSER", "ada", "on", ">p@ss/w:rd?#%", "~*", "+@all"});
  redis().command({"ACL", "SETUSER", "default", "off"});
  const auto url =
      fmt::format("redis://ada:{}@127.0.0.1:{}", encoded("p@ss/w:rd?#%"), redis().port());
  ServerProcess other{step(), {{"REDIS_URL", url}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
}

void RedisScenarios::selects_database() {
  ServerProcess other{step(), {{"REDIS_URL", redis().url() + "/5"}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
  EXPECT_EQ(redis().command({"DBSIZE"}), "0");
  EXPECT_THAT(redis().command({"INFO", "keyspace"}).value_or(""), HasSubstr("db5:keys=1"));
}

void RedisScenarios::connects_to_unix_socket() {
  ServerProcess other{step(), {{"REDIS_URL", "unix://" + redis().socket() + "?db=3"}}};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);
  EXPECT_THAT(redis().command({"INFO", "keyspace"}).value_or(""), HasSubstr("db3:keys=1"));
  redis().restart();
  EXPECT_TRUE(wait_until([&] { return visits_in(visit("alice", other.url())) == 2; }));
  ServerProcess nowhere{step(), {{"REDIS_URL", "unix:///nowhere/redis.sock"}}};
  expect_unavailable(nowhere.url());
  EXPECT_TRUE(nowhere.logs("/nowhere/redis.sock"));
}

void RedisScenarios::connects_to_name_with_several_addresses() {
  const HostsFile hosts{"::1 redis.test\n127.0.0.1 redis.test\n"};
  // Elsewhere localhost has to do, which is two addresses on many machines, and one on others.
  const std::string name = hosts.is_in_force() ? "redis.test" : "localhost";
  const auto url = fmt::format("redis://{}:{}", name, redis().port());
  ServerProcess other{step(), {{"REDIS_URL", url}}, {}, hosts.launcher()};
  EXPECT_EQ(visits_in(visit("alice", other.url())), 1);

  asio::io_context context;
  const asio::ip::tcp::acceptor silent{
      context, {asio::ip::address_v6::loopback(), static_cast<std::uint16_t>(redis().port())}};
  ServerProcess patient{step(), {{"REDIS_URL", url}}, {}, hosts.launcher()};
  // Not exactly 2: a visit that was answered 503 may have been counted.
  EXPECT_TRUE(wait_until([&] { return visits_in(visit("alice", patient.url())) >= 2; }));

  RedisProcess locked{{"--requirepass", "sesame"}};
  ServerProcess wrong{step(),
                      {{"REDIS_URL", fmt::format("redis://:wrong@{}:{}", name, locked.port())}},
                      {},
                      hosts.launcher()};
  expect_unavailable(wrong.url());
  EXPECT_TRUE(wrong.logs("WRONGPASS"));
  EXPECT_THAT(wrong.log(), Not(HasSubstr("refused"))) << "of the other address";
}

void RedisScenarios::follows_the_primary_that_its_name_means() {
  const HostsFile hosts{"127.0.0.1 primary.test\n"};
  if (!hosts.is_in_force()) {
    GTEST_SKIP() << "users may not make namespaces here";
  }
  const RedisProcess old{{"--repl-diskless-sync-delay", "0"}};
  const auto port = std::to_string(old.port());
  const RedisProcess other{{"--bind", "127.0.0.2", "--port", port}};
  const ServerProcess server{
      step(), {{"REDIS_URL", "redis://primary.test:" + port}}, {}, hosts.launcher()};
  EXPECT_EQ(visits_in(visit("alice", server.url())), 1);
  other.command({"REPLICAOF", "127.0.0.1", port});
  ASSERT_TRUE(wait_until([&] { return other.command({"EXISTS", "user:alice"}) == "1"; }));
  other.command({"REPLICAOF", "NO", "ONE"});
  old.command({"REPLICAOF", "127.0.0.2", port});
  hosts.set("127.0.0.2 primary.test\n");
  EXPECT_EQ(visits_in(visit("alice", server.url())), 2) << "the first visit after the change";
  EXPECT_EQ(other.command({"HGET", "user:alice", "visits"}), "2");
}

void RedisScenarios::expect_unavailable(const std::string& url) {
  HttpClient client{url};
  const auto cookie = cookie_header("session", logged_in_cookie(client, "zoe"));
  const auto start = Clock::now();
  const auto response = client.get("/", {cookie});
  EXPECT_LT(Clock::now() - start, seconds{2} * kSlowdown);
  EXPECT_EQ(response.status, 503);
  EXPECT_THAT(response.header("Retry-After").value_or(""), testing::MatchesRegex("[0-9]+"));
  EXPECT_THAT(response.header("Content-Type").value_or(""), HasSubstr("text/html"));
  EXPECT_THAT(response.body, Not(HasSubstr("edis")));
  EXPECT_THAT(response.body, Not(HasSubstr("not logged in")));
}

}  // namespace sessions::test
