// Step 3 with blocking hiredis: the same server and cookie, but each worker thread has a connection
// of its own to Redis and waits for the reply.
#include <fmt/format.h>
#include <hiredis/hiredis.h>

#include <memory>
#include <stdexcept>

#include "login_input.hpp"
#include "pages.hpp"
#include "program.hpp"
#include "redis_url.hpp"
#include "signed_cookie.hpp"

namespace {

using namespace sessions;

class BlockingRedis {
 public:
  explicit BlockingRedis(const RedisUrl& url)
      : context_{redisConnect(url.host.c_str(), std::stoi(url.port)), redisFree} {
    if (!context_ || context_->err != 0) {
      throw std::runtime_error{"cannot connect to Redis"};
    }
  }

  std::int64_t integer(const char* format, const std::string& key, int number) {
    const std::unique_ptr<redisReply, decltype(&freeReplyObject)> reply{
        static_cast<redisReply*>(
            redisCommand(context_.get(), format, key.data(), key.size(), number)),
        freeReplyObject};
    if (!reply || reply->type != REDIS_REPLY_INTEGER) {
      throw std::runtime_error{"Redis did not answer with a number"};
    }
    return reply->integer;
  }

 private:
  std::unique_ptr<redisContext, decltype(&redisFree)> context_;
};

class Application {
 public:
  explicit Application(const Settings& settings)
      : session_{settings, "session", "username"},
        url_{RedisUrl::parse(kRedisUrl.name, settings[kRedisUrl])} {}

  asio::awaitable<Response> index(Request request) {
    thread_local BlockingRedis redis{url_};
    if (const auto username = session_.read(request)) {
      const auto key = "user:" + *username;
      const auto visits = redis.integer("HINCRBY %b visits %d", key, 1);
      redis.integer("EXPIRE %b %d", key, 10);
      co_return Response{200, page(fmt::format("Logged in as {}.<br>\n"
                                               "Visits: {}\n"
                                               "<p><a href=\"/logout\">Log out</a></p>",
                                               escape(*username), visits))};
    }
    co_return Response{200, page("You are not logged in\n<p><a href=\"/login\">Log in</a></p>")};
  }

  asio::awaitable<Response> login(Request request) {
    auto response = redirect("/");
    session_.write(response, submitted_username(request));
    co_return response;
  }

 private:
  SignedCookie session_;
  RedisUrl url_;
};

}  // namespace

int main(int argc, char** argv) {
  const StepDescription step{
      .name = "blocking_redis",
      .summary = "Step 3 with blocking hiredis, for comparison.",
      .has_store = false,
      .variables = {kSecretKey, kSecretKeyFallbacks, kCookieSecure, kRedisUrl}};
  return run_step(argc, argv, step, [](const Settings& settings) {
    EventLoop event_loop;
    Application application{settings};
    Routes routes;
    routes.add("/", {Method::Get}, application, &Application::index);
    routes.add("/login", {Method::Post}, application, &Application::login);
    return serve(settings, event_loop, routes);
  });
}
