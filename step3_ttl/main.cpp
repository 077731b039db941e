// Step 3: the counter starts again after ten idle seconds.
//
// What is new: the key expires. The increment and the expiry are one script, which Redis runs as
// one unit. Carried over: everything else, as in step 2.
//
// Run it: ./tutorial run 3

#include <fmt/format.h>

#include "event_loop.hpp"
#include "login_input.hpp"
#include "pages.hpp"
#include "program.hpp"
#include "redis_client.hpp"
#include "signed_cookie.hpp"

namespace {

using namespace sessions;

constexpr EnvironmentVariable kSessionTtl{"SESSION_TTL", "10", "idle timeout in seconds"};

//! [script]
// As two commands, a crash in between would leave a counter that never expires. A script also stops
// at the first error, so the expiry of a key that is not ours to count in stays as it is.
constexpr std::string_view kCountVisit = R"(
  local visits = redis.call('HINCRBY', KEYS[1], 'visits', 1)
  redis.call('EXPIRE', KEYS[1], ARGV[1])
  return visits
)";
//! [script]

class Application {
 public:
  Application(const Settings& settings, RedisClient& redis)
      : session_{settings, "session", "username"},
        redis_{redis},
        idle_timeout_{settings.whole_number(kSessionTtl, 1)} {}

  //! [index]
  asio::awaitable<Response> index(Request request) {
    if (const auto username = session_.read(request)) {
      const auto key = "user:" + *username;
      const auto visits = co_await redis_.command("EVAL", kCountVisit, 1, key, idle_timeout_);
      co_return Response{200, page(fmt::format("Logged in as {}.<br>\n"
                                               "Visits: {}\n"
                                               "<p><a href=\"/logout\">Log out</a></p>",
                                               escape(*username), visits.integer()))};
    }
    co_return Response{200, page("You are not logged in\n<p><a href=\"/login\">Log in</a></p>")};
  }
  //! [index]

  //! [login]
  asio::awaitable<Response> login(Request request) {
    if (request.method() == Method::Post) {
      auto response = redirect("/");
      session_.write(response, submitted_username(request));
      co_return response;
    }
    co_return Response{200, page(login_form())};
  }
  //! [login]

  //! [logout]
  asio::awaitable<Response> logout(Request /*request*/) {
    auto response = redirect("/");
    session_.remove(response);
    co_return response;
  }
  //! [logout]

 private:
  SignedCookie session_;
  RedisClient& redis_;
  std::int64_t idle_timeout_;
};

}  // namespace

int main(int argc, char** argv) {
  const StepDescription step{
      .name = "step3_ttl",
      .summary = "Counts each user's visits in Redis until ten seconds pass without one.",
      .variables = {kSecretKey, kSecretKeyFallbacks, kCookieSecure, kRedisUrl, kSessionTtl}};
  return run_step(argc, argv, step, [](const Settings& settings) {
    EventLoop event_loop;
    RedisClient redis{event_loop, RedisUrl::parse(kRedisUrl.name, settings[kRedisUrl])};
    if (settings.check()) {
      return check_redis(event_loop, redis);
    }
    Application application{settings, redis};
    Routes routes;
    routes.add("/", {Method::Get}, application, &Application::index);
    routes.add("/login", {Method::Get, Method::Post}, application, &Application::login);
    routes.add("/logout", {Method::Get}, application, &Application::logout, Routes::Kind::kAction);
    return serve(settings, event_loop, routes, [&] { warn_if_unreachable(event_loop, redis); });
  });
}
