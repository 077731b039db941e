// Step 1: log in and out with a signed cookie.
//
// What is new: the three routes, and a cookie that the client can read but cannot change. The
// user's name is in the cookie; the server stores nothing.
//
// Run it: ./tutorial run 1

#include <fmt/format.h>

#include "login_input.hpp"
#include "pages.hpp"
#include "program.hpp"
#include "signed_cookie.hpp"

namespace {

using namespace sessions;

class Application {
 public:
  explicit Application(const Settings& settings) : session_{settings, "session", "username"} {}

  //! [index]
  asio::awaitable<Response> index(Request request) {
    if (const auto username = session_.read(request)) {
      co_return Response{200, page(fmt::format("Logged in as {}\n"
                                               "<p><a href=\"/logout\">Log out</a></p>",
                                               escape(*username)))};
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
};

}  // namespace

int main(int argc, char** argv) {
  const StepDescription step{.name = "step1_cookie_login",
                             .summary = "Logs in and out with a signed cookie.",
                             .has_store = false,
                             .variables = {kSecretKey, kSecretKeyFallbacks, kCookieSecure}};
  return run_step(argc, argv, step, [](const Settings& settings) {
    EventLoop event_loop;
    Application application{settings};
    Routes routes;
    routes.add("/", {Method::Get}, application, &Application::index);
    routes.add("/login", {Method::Get, Method::Post}, application, &Application::login);
    routes.add("/logout", {Method::Get}, application, &Application::logout, Routes::Kind::kAction);
    return serve(settings, event_loop, routes);
  });
}
