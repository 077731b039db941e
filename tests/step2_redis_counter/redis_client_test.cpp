// When the Redis client connects, how long its commands wait, and whom it believes.

#include "redis_client.hpp"

#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <asio/co_spawn.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/ssl/context.hpp>
#include <asio/ssl/stream.hpp>
#include <asio/use_future.hpp>
#include <atomic>
#include <filesystem>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "event_loop.hpp"
#include "redis_cluster.hpp"
#include "redis_nodes.hpp"
#include "redis_process.hpp"
#include "redis_stand_in.hpp"
#include "wait_until.hpp"

namespace sessions::test {
namespace {

/// What the names that end with .test stand for, for this program only. Without an address, a
/// look-up takes until release().
class Names {
 public:
  static Names& instance() {
    static Names names;
    return names;
  }
  void set(const std::string& address) {
    const std::lock_guard lock{mutex_};
    address_ = address;
  }
  void release() {
    const std::lock_guard lock{mutex_};
    is_released_ = true;
  }
  /// The address, once there is one.
  std::string wait() {
    wait_until([this] { return is_released() || !address().empty(); }, seconds{60});
    return address();
  }

 private:
  std::string address() {
    const std::lock_guard lock{mutex_};
    return address_;
  }
  bool is_released() {
    const std::lock_guard lock{mutex_};
    return is_released_;
  }

  std::mutex mutex_;
  std::string address_;
  bool is_released_ = false;
};

using testing::HasSubstr;

/// A client of a Redis that a test puts out of order.
class Step2RedisClient : public testing::Test {
 protected:
  void serve(RedisStandIn::Script script) {
    redis_.reset();
    server_.emplace(std::move(script));
    redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", server_->url()));
  }

  /// Why a ping failed; empty if it succeeded.
  std::string failure_of_ping() {
    return failure_of([this] { return redis_->ping(); });
  }

  /// Why a command was unavailable; empty if it was not.
  template <typename Command>
  std::string failure_of(Command command) {
    try {
      event_loop_.wait_for(command());
      return {};
    } catch (const ServiceUnavailable& error) {
      return error.what();
    }
  }

  /// Whether one of some failures gives this reason: a command's time may be over while an attempt
  /// has no reply yet.
  template <typename Command>
  bool fails_because_of(std::string_view reason, Command command) {
    return wait_until([&] { return failure_of(command).find(reason) != std::string::npos; });
  }

  EventLoop event_loop_;
  std::optional<RedisStandIn> server_;
  std::optional<RedisClient> redis_;
};

TEST_F(Step2RedisClient, TriesAgainAtAMeasuredPaceAndSucceedsOnceItCan) {
  std::atomic<bool> is_broken = true;
  std::atomic<int> connections = 0;
  serve([&](std::string_view command) -> RedisStandIn::Answer {
    connections += command == "PING" ? 1 : 0;  // each ends its connection
    return is_broken ? RedisStandIn::Answer{"", true} : RedisStandIn::Answer{"+OK\r\n"};
  });
  const auto end = Clock::now() + seconds{1};
  while (Clock::now() < end) {
    EXPECT_NE(failure_of_ping(), "");
  }
  EXPECT_LE(connections, 8) << "pauses of 50, 100, 200, 400, 500 ms";
  is_broken = false;
  EXPECT_EQ(failure_of_ping(), "") << "the longest pause is shorter than a command waits";
}

TEST_F(Step2RedisClient, GivesUpACommandThatWaitsForAConnection) {
  serve([](std::string_view) -> RedisStandIn::Answer { return {}; });
  // From the second one on it waits for a pause and for the login, together longer than a second.
  EXPECT_TRUE(fails_because_of("no connection within 1000 ms (no answer within 1000 ms)",
                               [this] { return redis_->ping(); }));
}

TEST_F(Step2RedisClient, FailsWhatIsWaitingWhenItIsDestroyed) {
  std::atomic<bool> is_connecting = false;
  serve([&](std::string_view) -> RedisStandIn::Answer {
    is_connecting = true;
    return {};
  });
  auto ping = asio::co_spawn(event_loop_.context(), redis_->ping(), asio::use_future);
  ASSERT_TRUE(wait_until([&] { return is_connecting.load(); }));
  redis_.reset();
  ASSERT_EQ(ping.wait_for(milliseconds{500}), std::future_status::ready) << "at once";
  EXPECT_THROW(ping.get(), ClientStopped);
}

TEST_F(Step2RedisClient, SelectsOnlyAnotherDatabaseThanTheFirst) {
  std::atomic<int> selections = 0;
  const auto script = [&](std::string_view command) -> RedisStandIn::Answer {
    selections += command == "SELECT" ? 1 : 0;
    return {"+OK\r\n"};
  };
  serve(script);
  EXPECT_EQ(failure_of_ping(), "");
  EXPECT_EQ(selections, 0);
  redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", server_->url() + "/3"));
  EXPECT_EQ(failure_of_ping(), "");
  EXPECT_EQ(selections, 1);
}

TEST_F(Step2RedisClient, TakesAReplyToNoCommandForAnErrorOfTheConnection) {
  // The client may go on asking when this function has ended.
  const auto logins = std::make_shared<std::atomic<int>>(0);
  serve([logins](std::string_view command) -> RedisStandIn::Answer {
    *logins += command == "PING" ? 1 : 0;
    return {*logins == 1 && command != "PING" ? "+OK\r\n+OK\r\n" : "+OK\r\n"};
  });
  const auto get = [this] { return redis_->command("GET", "a"); };
  EXPECT_EQ(event_loop_.wait_for(get()).string(), "OK");
  EXPECT_TRUE(wait_until([&] { return failure_of(get).empty() && *logins == 2; }));
}

TEST_F(Step2RedisClient, DoesNotTakeASurplusReplyToItsLoginForTheNextOne) {
  serve([](std::string_view command) -> RedisStandIn::Answer {
    return {command == "PING" ? "+PONG\r\n$5\r\nalice\r\n" : "+OK\r\n"};
  });
  EXPECT_THAT(failure_of([this] { return redis_->command("GET", "a"); }),
              HasSubstr("a reply to no command"));
}

TEST_F(Step2RedisClient, RefusesRepliesThatCostTooMuch) {
  std::string lists;
  for (int depth = 0; depth < 20; ++depth) {
    lists += "*1\r\n";
  }
  for (const auto& [reply, reason] :
       {std::pair{std::string{"*2147483647\r\n"}, "more elements"}, std::pair{lists, "deeper"},
        std::pair{"$5000000\r\n" + std::string(4'500'000, 'x'), "more bytes"}}) {
    serve([&reply = reply](std::string_view command) -> RedisStandIn::Answer {
      return {command == "GET" ? reply : "+OK\r\n"};
    });
    const auto start = Clock::now();
    EXPECT_NE(failure_of([this] { return redis_->command("GET", "a"); }).find(reason),
              std::string::npos)
        << reason;
    EXPECT_LT(Clock::now() - start, milliseconds{900} * kSlowdown) << reason;
    redis_.reset();
  }
}

TEST_F(Step2RedisClient, ConnectionThatWasForgottenCostsOneDeadlineAndNobodyAfterwards) {
  std::atomic<int> logins = 0;
  serve([&](std::string_view command) -> RedisStandIn::Answer {
    logins += command == "PING" ? 1 : 0;
    return {command != "PING" && logins == 1 ? "" : "+OK\r\n"};
  });
  auto first = asio::co_spawn(event_loop_.context(), redis_->command("GET", "a"), asio::use_future);
  auto second =
      asio::co_spawn(event_loop_.context(), redis_->command("GET", "a"), asio::use_future);
  EXPECT_THROW(first.get(), ServiceUnavailable);
  EXPECT_THROW(second.get(), ServiceUnavailable);
  const auto start = Clock::now();
  EXPECT_EQ(event_loop_.wait_for(redis_->command("GET", "a")).string(), "OK");
  EXPECT_LT(Clock::now() - start, milliseconds{500} * kSlowdown);
}

TEST_F(Step2RedisClient, KeepsIdleConnectionsAlive) {
  serve([](std::string_view) -> RedisStandIn::Answer { return {"+OK\r\n"}; });
  EXPECT_EQ(failure_of_ping(), "");
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fd"}) {
    const int descriptor = std::stoi(entry.path().filename());
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    if (::getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
        peer.sin_family == AF_INET &&
        server_->url().ends_with(":" + std::to_string(ntohs(peer.sin_port)))) {
      const auto option = [&](int level, int name) {
        int value = 0;
        size = sizeof value;
        ::getsockopt(descriptor, level, name, &value, &size);
        return value;
      };
      EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
      EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPIDLE), 60);
      EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPINTVL), 10);
      EXPECT_EQ(option(IPPROTO_TCP, TCP_KEEPCNT), 3);
      ++found;
    }
  }
  EXPECT_EQ(found, 1);
}

std::ptrdiff_t own_threads() {
  const std::filesystem::directory_iterator tasks{"/proc/self/task"};
  return std::distance(begin(tasks), end(tasks));
}

TEST_F(Step2RedisClient, LookupThatHangsDelaysNobody) {
  const auto threads = own_threads();
  auto start = Clock::now();
  {
    EventLoop event_loop;
    RedisClient redis{event_loop, RedisUrl::parse("REDIS_URL", "redis://hanging.test")};
    EXPECT_THROW(event_loop.wait_for(redis.ping()), ServiceUnavailable);
    EXPECT_LT(Clock::now() - start, milliseconds{1900} * kSlowdown);
    std::string failure;
    EXPECT_TRUE(wait_until([&] {
      try {
        event_loop.wait_for(redis.ping());
      } catch (const ServiceUnavailable& error) {
        failure = error.what();
      }
      return failure.find("no answer yet") != std::string::npos;
    })) << failure;
    auto last = asio::co_spawn(event_loop.context(), redis.ping(), asio::use_future);
    last.wait_for(milliseconds{100});  // it is being looked up again
    start = Clock::now();
  }
  EXPECT_LT(Clock::now() - start, milliseconds{900} * kSlowdown);
  Names::instance().release();
  // What they use must not end before them.
  EXPECT_TRUE(wait_until([&] { return own_threads() == threads; }));
}

TEST_F(Step2RedisClient, FollowsThePrimaryToWhichItsNameMoves) {
  const RedisProcess old{{"--repl-diskless-sync-delay", "0"}};
  const auto port = std::to_string(old.port());
  const RedisProcess other{{"--bind", "127.0.0.2", "--port", port}};
  Names::instance().set("127.0.0.1");
  redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", "redis://primary.test:" + port));
  EXPECT_EQ(event_loop_.wait_for(redis_->hincrby("user:alice", "visits", 1)), 1);
  other.command({"REPLICAOF", "127.0.0.1", port});
  ASSERT_TRUE(wait_until([&] { return other.command({"EXISTS", "user:alice"}) == "1"; }));
  other.command({"REPLICAOF", "NO", "ONE"});
  old.command({"REPLICAOF", "127.0.0.2", port});
  auto early = asio::co_spawn(event_loop_.context(), redis_->hincrby("user:alice", "visits", 1),
                              asio::use_future);
  EXPECT_EQ(early.wait_for(milliseconds{100}), std::future_status::timeout) << "tries again";
  Names::instance().set("127.0.0.2");
  EXPECT_EQ(early.get(), 2);
  EXPECT_EQ(event_loop_.wait_for(redis_->hincrby("user:alice", "visits", 1)), 3);
  EXPECT_EQ(other.command({"HGET", "user:alice", "visits"}), "3");
}

TEST_F(Step2RedisClient, TellsAServerThatCannotAnswerNowFromOneThatRefusesTheCommand) {
  const auto serve_error = [this](const std::string& error) {
    serve([error](std::string_view command) -> RedisStandIn::Answer {
      return {command == "GET" ? "-" + error + "\r\n" : "+OK\r\n"};
    });
  };
  const auto get = [this] { return redis_->command("GET", "a"); };
  for (const std::string error :
       {"LOADING Redis is loading the dataset in memory", "BUSY Redis is busy running a script",
        "MASTERDOWN Link with MASTER is down", "OOM command not allowed", "MISCONF Errors",
        "NOPERM this user has no permissions", "NOREPLICAS Not enough good replicas",
        "ERR The user executing the script can't run this command or subcommand",
        "ERR ACL failure in script: User default has no permissions to run the 'zadd' command"}) {
    serve_error(error);
    EXPECT_THAT(failure_of(get), HasSubstr(error));
  }
  for (const std::string error : {"WRONGTYPE Operation against a key", "ERR syntax error"}) {
    serve_error(error);
    EXPECT_THROW(event_loop_.wait_for(get()), RedisError) << error;
  }
}

TEST_F(Step2RedisClient, SaysWhyWhenThePrimaryStaysAReplica) {
  const RedisProcess primary;
  const RedisProcess replica{{"--replicaof", "127.0.0.1 " + std::to_string(primary.port())}};
  redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", replica.url()));
  EXPECT_TRUE(fails_because_of("READONLY", [this] { return redis_->command("SET", "a", "b"); }));
}

TEST_F(Step2RedisClient, ConnectsToAnIpv6Address) {
  const RedisProcess server{{"--bind", "::1"}};
  redis_.emplace(event_loop_,
                 RedisUrl::parse("REDIS_URL", "redis://[::1]:" + std::to_string(server.port())));
  EXPECT_EQ(failure_of_ping(), "");
  redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", "redis://[::1]:1"));
  EXPECT_THAT(failure_of_ping(), HasSubstr("redis://[::1]:1/"));
}

TEST_F(Step2RedisClient, TellsATlsServerWhichNameIsMeant) {
  asio::io_context context;
  asio::ip::tcp::acceptor acceptor{context, {asio::ip::address_v4::loopback(), 0}};
  const auto url = "rediss://localhost:" + std::to_string(acceptor.local_endpoint().port());
  std::string name;
  const std::jthread server{[&] {
    asio::ssl::context tls{asio::ssl::context::tls_server};
    ::SSL_CTX_set_client_hello_cb(
        tls.native_handle(),
        [](SSL* session, int*, void* found) {
          const unsigned char* bytes = nullptr;
          std::size_t size = 0;
          ::SSL_client_hello_get0_ext(session, TLSEXT_TYPE_server_name, &bytes, &size);
          static_cast<std::string*>(found)->assign(reinterpret_cast<const char*>(bytes), size);
          return SSL_CLIENT_HELLO_ERROR;
        },
        &name);
    asio::ssl::stream<asio::ip::tcp::socket> stream{acceptor.accept(), tls};
    std::error_code refused;
    static_cast<void>(stream.handshake(asio::ssl::stream_base::server, refused));
  }};
  redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", url));
  EXPECT_THAT(failure_of_ping(), HasSubstr("TLS"));
  redis_.reset();
  EXPECT_THAT(name, testing::EndsWith("localhost"));
}

TEST_F(Step2RedisClient, RedirectionsThatDoNotEndAreUnavailableAfterOneDeadline) {
  std::string url;
  for (const std::string error :
       {"MOVED 0 ", "ASK 0 ", "TRYAGAIN ", "CLUSTERDOWN ", "MOVED nonsense"}) {
    serve([&](std::string_view command) -> RedisStandIn::Answer {
      return {command == "GET" ? "-" + error + url + "\r\n" : "+OK\r\n"};
    });
    url = server_->url().substr(sizeof "redis://" - 1);
    const auto start = Clock::now();
    EXPECT_NE(failure_of([this] { return redis_->command("GET", "a"); }), "") << error;
    EXPECT_LT(Clock::now() - start, milliseconds{1900} * kSlowdown);
    redis_.reset();
  }
}

TEST_F(Step2RedisClient, CommandThatLostItsReplyIsNotSentAgainInAClusterEither) {
  std::atomic<int> sent = 0;
  const RedisStandIn other{[&](std::string_view command) -> RedisStandIn::Answer {
    sent += command == "INCR" ? 1 : 0;
    return {command == "INCR" ? "" : "+OK\r\n", command == "INCR"};
  }};
  const auto port = other.url().substr(other.url().rfind(':') + 1);
  const auto slots = "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$-1\r\n:" + port + "\r\n";
  serve([&](std::string_view command) -> RedisStandIn::Answer {
    return {command == "CLUSTER" ? slots : "+OK\r\n"};
  });
  EXPECT_EQ(failure_of_ping(), "");
  EXPECT_EQ(failure_of_ping(), "") << "after the answer to CLUSTER SLOTS";
  EXPECT_NE(failure_of([this] { return redis_->command("INCR", "a"); }), "");
  EXPECT_EQ(sent, 1);
  redis_.reset();
}

TEST_F(Step2RedisClient, RemembersWhereASlotHasMovedAndNotWhereItIsMoving) {
  RedisStandIn other{[](std::string_view) -> RedisStandIn::Answer { return {"+OK\r\n"}; }};
  const auto address = other.url().substr(sizeof "redis://" - 1);
  std::atomic<bool> has_moved = false;
  std::atomic<int> redirections = 0;
  std::atomic<int> questions = 0;
  serve([&](std::string_view command) -> RedisStandIn::Answer {
    questions += command == "CLUSTER" ? 1 : 0;
    if (command != "GET") {
      return {"+OK\r\n"};
    }
    ++redirections;
    return {(has_moved ? "-MOVED 0 " : "-ASK 0 ") + address + "\r\n"};
  });
  const auto get = [this](const std::string& key) {
    EXPECT_EQ(event_loop_.wait_for(redis_->command("GET", key)).string(), "OK");
  };
  get("a");
  get("a");
  EXPECT_EQ(redirections, 2);
  has_moved = true;
  get("a");
  get("a");
  EXPECT_EQ(redirections, 3);
  // Others may have moved with it.
  int number = 0;
  EXPECT_TRUE(wait_until([&] {
    get(std::to_string(number++));
    return questions == 2;
  }));
  redis_.reset();
}

// A replica that takes over says so for some milliseconds, in a failover that was planned too.
TEST_F(Step2RedisClient, WaitsForANodeThatDoesNotSeeTheWholeCluster) {
  std::atomic<int> asked = 0;
  serve([&](std::string_view command) -> RedisStandIn::Answer {
    if (command != "INCR") {
      return {"+OK\r\n"};
    }
    return {++asked < 3 ? "-CLUSTERDOWN The cluster is down\r\n" : ":42\r\n"};
  });
  EXPECT_EQ(event_loop_.wait_for(redis_->command("INCR", "a")).integer(), 42);
  EXPECT_EQ(asked, 3);
}

TEST_F(Step2RedisClient, WaitsForTheRestOfAScriptsKeys) {
  RedisCluster cluster;
  redis_.emplace(event_loop_, RedisUrl::parse("REDIS_URL", cluster.url()));
  for (const std::string key :
       {"user:alice", "{tag}:a", "a{tag}b{c}", "{}a", "a{}{tag}", "{{tag}}", "a{tag", "", "\xFF"}) {
    EXPECT_EQ(static_cast<int>(slot_of(key)), cluster.slot_of(key)) << key;
  }
  const auto sum = [this] {
    return redis_->command("EVAL", "return redis.call('GET', KEYS[1]) + redis.call('GET', KEYS[2])",
                           2, "{tag}:a", "{tag}:b");
  };
  for (const std::string key : {"{tag}:a", "{tag}:b"}) {
    event_loop_.wait_for(redis_->command("SET", key, 21));
  }
  const int slot = cluster.slot_of("{tag}:a");
  auto& from = cluster.primary_of(slot);
  auto& to = cluster.primary_of(16383);
  cluster.begin_to_move(slot, from, to);
  cluster.move_keys(from, to, {"{tag}:a"});
  EXPECT_TRUE(fails_because_of("TRYAGAIN", sum));
  auto waiting = asio::co_spawn(event_loop_.context(), sum(), asio::use_future);
  EXPECT_EQ(waiting.wait_for(milliseconds{100}), std::future_status::timeout);
  cluster.move_keys(from, to, {"{tag}:b"});
  EXPECT_EQ(waiting.get().integer(), 42);
  auto stopped = asio::co_spawn(event_loop_.context(), sum(), asio::use_future);
  cluster.end_move(slot, from, to);
  EXPECT_EQ(stopped.get().integer(), 42);
}

}  // namespace
}  // namespace sessions::test

// Takes the place of the library's for this program, which resolves all other names with it.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** found) {
  static const auto real =
      reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  const std::string name = node == nullptr ? "" : node;
  if (!name.ends_with(".test")) {
    return real(node, service, hints, found);
  }
  const auto address = sessions::test::Names::instance().wait();
  return address.empty() ? EAI_AGAIN : real(address.c_str(), service, hints, found);
}
