// Step 2: count each user's visits in Redis.
//
// What is new: a Redis client for coroutines, and a counter in the hash `user:<name>` that every
// server counts in. Carried over: the three routes and the signed cookie of step 1.
//
// Run it: ./tutorial run 2

#include <fmt/format.h>

#include "event_loop.hpp"
#include "login_input.hpp"
#include "pages.hpp"
#include "program.hpp"
#include "redis_client.hpp"
#include "signed_cookie.hpp"

namespace {

using namespace sessions;

class Application {
 public:
  Application(const Settings& settings, RedisClient& redis)
      : session_{settings, "session", "username"}, redis_{redis} {}

  //! [index]
  asio::awaitable<Response> index(Request request) {
    if (const auto username = session_.read(request)) {
      const auto visits = co_await redis_.hincrby("user:" + *username, "visits", 1);
      co_return Response{200, page(fmt::format("Logged in as {}.<br>\n"
                                               "Visits: {}\n"
                                               "<p><a href=\"/logout\">Log out</a></p>",
                                               escape(*username), visits))};
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
};

}  // namespace

int main(int argc, char** argv) {
  const StepDescription step{
      .name = "step2_redis_counter",
      .summary = "Counts each user's visits in Redis.",
      .variables = {kSecretKey, kSecretKeyFallbacks, kCookieSecure, kRedisUrl}};
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
