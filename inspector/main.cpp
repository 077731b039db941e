// The inspector: shows a running server's cookies, requests and store side by side.
//
// It stands between the visitors and a server, and between that server and its store, and passes
// bytes on (relay.hpp). A tap on each connection (taps.hpp) reads what passes: HTTP, Redis'
// protocol, the HTTP of Firestore's emulator. What it cannot read is passed on all the same and
// shown as bytes. It speaks TLS to a Redis that wants it, and stands before each node of a cluster:
// what names a node to the server is changed, and names that node's tap. The taps write into one
// recorder (recorder.hpp), which keeps the last requests and store calls, and what each visitor's
// cookie jar holds (cookie_jars.hpp). So order and times are true; only what is in the store, and
// for how long, is asked for (store_view.hpp).
//
// Which request a store call was for is not on the wire. If one request is under way, it was that
// one. If several are, it was the only one whose user, token or cookie the call names. Else it is
// shown on a lane of its own: the inspector does not guess.
//
// All of that runs on one event loop. The page (page/) is served as the steps serve theirs. It asks
// for what has changed since it last asked, and waits for the answer (long polling). It sees
// everybody's cookies, so the inspector listens on this machine only and answers nobody but its own
// page: another site's page is told apart by Host and Sec-Fetch-Site.
//
// NOT FOR PRODUCTION: it records what real visitors must be able to keep to themselves.
//
// Run it: ./tutorial inspect 3

#include <fmt/format.h>

#include <charconv>
#include <iostream>

#include "attack.hpp"
#include "errors.hpp"
#include "page_files.hpp"
#include "program.hpp"
#include "recorder.hpp"
#include "relay.hpp"
#include "signed_cookie.hpp"
#include "store_view.hpp"
#include "taps.hpp"

namespace {

using namespace sessions;
using namespace sessions::inspector;
using nlohmann::json;

constexpr EnvironmentVariable kUrl{"INSPECT_URL", "",
                                   "required: the server, such as http://127.0.0.1:8000"};
constexpr EnvironmentVariable kVisitorsPort{"INSPECT_PORT", "0", "where its visitors come to"};
constexpr EnvironmentVariable kRedis{"INSPECT_REDIS", "", "the server's Redis: redis://host:port"};
constexpr EnvironmentVariable kFirestore{"INSPECT_FIRESTORE", "", "or its emulator: host:port"};
constexpr EnvironmentVariable kStorePort{"INSPECT_STORE_PORT", "0",
                                         "where the server finds its store"};
constexpr EnvironmentVariable kProject{"GOOGLE_CLOUD_PROJECT", "sessions-tutorial",
                                       "whose documents are shown"};
constexpr EnvironmentVariable kAnyway{"INSPECT_ANYWAY", "",
                                      "1: also other people's servers, stores and cookies"};

constexpr std::string_view kJsonHeaders =
    "Content-Type: application/json\r\n"
    "Cache-Control: no-store\r\n"
    "X-Content-Type-Options: nosniff\r\n";

/// What is inspected, after all refusals.
struct Inspected {
  TcpAddress server;
  std::optional<RedisUrl> redis;
  std::optional<TcpAddress> firestore;
};

Inspected inspected_by(const Settings& settings) {
  const bool anyway = settings[kAnyway] == "1";
  if (settings[kCookieSecure] == "1" && !anyway) {
    throw SettingError{kCookieSecure.name,
                       "is 1, as it is in production. The inspector shows everybody's cookies and "
                       "requests; set INSPECT_ANYWAY=1 if you may see them"};
  }
  constexpr std::string_view kScheme = "http://";
  if (!settings[kUrl].starts_with(kScheme)) {
    throw SettingError{kUrl.name, "must be the server's address, such as http://127.0.0.1:8000"};
  }
  TcpAddress::parse("--host (HOST)", settings.host() + ":0", false);
  Inspected inspected;
  inspected.server = TcpAddress::parse(kUrl.name, settings[kUrl].substr(kScheme.size()), anyway);
  if (!settings[kRedis].empty()) {
    inspected.redis = RedisUrl::parse(kRedis.name, settings[kRedis]);
    if (inspected.redis->host.empty()) {
      throw SettingError{kRedis.name, "must be redis://host:port or rediss://host:port"};
    }
    TcpAddress::parse(kRedis.name, inspected.redis->host + ":" + inspected.redis->port, anyway);
  } else if (!settings[kFirestore].empty()) {
    inspected.firestore = TcpAddress::parse(kFirestore.name, settings[kFirestore], anyway);
  }
  return inspected;
}

/// Refuses what does not come from the inspector's own page (or from curl). A page of another site
/// can make its own name mean 127.0.0.1, but the browser then sends that name as Host.
void require_own_page(const Request& request) {
  const auto host = request.header("Host").value_or("");
  const auto name = host.substr(0, host.rfind(':'));
  const auto site = request.header("Sec-Fetch-Site").value_or("none");
  if ((name != "127.0.0.1" && name != "localhost" && name != "[::1]") ||
      (site != "same-origin" && site != "none")) {
    throw HttpError{403, "The inspector answers its own page only."};
  }
}

class Application {
 public:
  Application(EventLoop& event_loop, Recorder& recorder, StoreView& store, TcpAddress front,
              json about)
      : event_loop_{event_loop},
        recorder_{recorder},
        store_{store},
        front_{std::move(front)},
        about_(std::move(about)) {}

  asio::awaitable<Response> file(Request request) {
    require_own_page(request);
    const auto& file = page_file(request.path());
    co_return Response{200, std::string{file.content}, file.headers};
  }

  /// What is inspected.
  asio::awaitable<Response> about(Request request) {
    require_own_page(request);
    co_return answer(about_);
  }

  /// Everything that is newer than the version in the header Last-Event-ID.
  asio::awaitable<Response> events(Request request) {
    require_own_page(request);
    const auto text = request.header("Last-Event-ID").value_or("0");
    std::uint64_t version = 0;
    std::from_chars(text.data(), text.data() + text.size(), version);
    co_return answer(co_await on_event_loop(recorder_.changes_since(version)));
  }

  /// What is in the store.
  asio::awaitable<Response> store(Request request) {
    require_own_page(request);
    json records;
    std::string failure;
    try {
      records = co_await on_event_loop(store_.records());
    } catch (const ServiceUnavailable& error) {
      failure = error.what();
    }
    co_return answer({{"now", now()}, {"records", std::move(records)}, {"failure", failure}});
  }

  asio::awaitable<Response> attack(Request request) {
    auto attack = Attack::parse(body_of(request));
    co_return answer(co_await on_event_loop(carry_out(std::move(attack), front_)));
  }

  /// The visitor's next answer brings one cookie more.
  asio::awaitable<Response> plant(Request request) {
    const auto body = body_of(request);
    co_await on_event_loop(plant_cookie(body.value("jar", std::uint64_t{0}), planted_cookie(body)));
    co_return answer(json::object());
  }

 private:
  /// The type keeps out forms of other sites even in browsers without Sec-Fetch-Site.
  static json body_of(const Request& request) {
    require_own_page(request);
    auto body = json::parse(request.body(), nullptr, false);
    if (request.header("Content-Type") != "application/json" || !body.is_object()) {
      throw HttpError{400, "The request must be JSON."};
    }
    return body;
  }

  static Response answer(const json& content) {
    return {200, content.dump(-1, ' ', false, json::error_handler_t::replace), kJsonHeaders};
  }

  template <typename Result>
  asio::awaitable<Result> on_event_loop(asio::awaitable<Result> coroutine) {
    return asio::co_spawn(event_loop_.context(), std::move(coroutine), asio::use_awaitable);
  }

  asio::awaitable<json> plant_cookie(std::uint64_t jar, std::string set_cookie) {
    recorder_.plant(jar, std::move(set_cookie));
    co_return json{};
  }

  EventLoop& event_loop_;
  Recorder& recorder_;
  StoreView& store_;
  TcpAddress front_;
  json about_;
};

std::unique_ptr<StoreView> view_of(const Inspected& inspected, const Settings& settings,
                                   EventLoop& event_loop) {
  if (inspected.redis) {
    return view_of_redis(event_loop, *inspected.redis);
  }
  return inspected.firestore ? view_of_firestore(*inspected.firestore, settings[kProject])
                             : view_of_nothing();
}

/// Puts a tap before the store, and returns the address for the server.
std::string tap_store(const Inspected& inspected, const Settings& settings, EventLoop& event_loop,
                      Recorder& recorder) {
  const auto port = static_cast<std::uint16_t>(settings.whole_number(kStorePort, 0, 65535));
  if (inspected.redis) {
    const auto tap = tap_redis(event_loop.context(), kStorePort.name, port, *inspected.redis,
                               settings[kAnyway] == "1", recorder);
    return fmt::format("redis://127.0.0.1:{}/{}", tap, inspected.redis->database);
  }
  if (inspected.firestore) {
    const auto tap = start_relay(event_loop.context(), kStorePort.name, port, *inspected.firestore,
                                 [&recorder] { return tap_firestore(recorder); });
    return fmt::format("127.0.0.1:{}", tap);
  }
  return {};
}

int inspect(const Settings& settings) {
  const auto inspected = inspected_by(settings);
  // The event loop goes first, with all connections, and then what they write into.
  Recorder recorder{CookieKeys{settings[kSecretKey], settings[kSecretKeyFallbacks]}};
  EventLoop event_loop;
  const auto store = view_of(inspected, settings, event_loop);
  const auto store_address = tap_store(inspected, settings, event_loop, recorder);
  const auto port = static_cast<std::uint16_t>(settings.whole_number(kVisitorsPort, 0, 65535));
  const TcpAddress front{
      "127.0.0.1", start_relay(event_loop.context(), kVisitorsPort.name, port, inspected.server,
                               [&recorder, server = inspected.server.text()] {
                                 return tap_visitor(recorder, server);
                               })};
  std::cerr << fmt::format("visitors come to http://{}{}\n", front.text(),
                           store_address.empty() ? "" : ", the server to " + store_address);
  const json about{{"visitors", "http://" + front.text()},
                   {"server", settings[kUrl]},
                   {"store", inspected.redis       ? "redis"
                             : inspected.firestore ? "firestore"
                                                   : ""},
                   {"hasKey", !settings[kSecretKey].empty()}};
  Application application{event_loop, recorder, *store, front, about};
  Routes routes;
  for (const auto& path : page_paths()) {
    routes.add(path, {Method::Get}, application, &Application::file);
  }
  routes.add("/about", {Method::Get}, application, &Application::about);
  routes.add("/events", {Method::Get}, application, &Application::events);
  routes.add("/store", {Method::Get}, application, &Application::store);
  routes.add("/attack", {Method::Post}, application, &Application::attack);
  routes.add("/plant", {Method::Post}, application, &Application::plant);
  return serve(settings, event_loop, routes);
}

}  // namespace

int main(int argc, char** argv) {
  const StepDescription inspector{
      .name = "inspector",
      .summary = "Shows a running server's cookies, requests and store side by side.",
      .default_port = 5001,
      .has_store = false,
      .variables = {kUrl, kVisitorsPort, kRedis, kFirestore, kStorePort, kProject, kSecretKey,
                    kSecretKeyFallbacks, kCookieSecure, kAnyway}};
  return run_step(argc, argv, inspector, inspect);
}
