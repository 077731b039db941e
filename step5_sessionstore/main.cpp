// Step 5: a SessionStore that hides the store.
//
// What is new: the cookie holds nothing but a random token. Everything else is in a SessionStore,
// which memory, Redis or Firestore stand behind, and every access renews the expiry by itself.
// Users see their sessions and can end all of them. Carried over: the pages, the signed cookie.
//
// Run it: ./tutorial run 5

#include <fmt/format.h>

#include "background_purge.hpp"
#include "event_loop.hpp"
#include "login_input.hpp"
#include "pages.hpp"
#include "program.hpp"
#include "same_origin.hpp"
#include "session.hpp"
#include "session_list.hpp"
#include "signed_cookie.hpp"
#include "store_choice.hpp"

namespace {

using namespace sessions;

class Application {
 public:
  Application(const Settings& settings, SessionStore& store)
      : cookie_{settings, "session", "sid"}, store_{store} {}

  //! [index]
  asio::awaitable<Response> index(Request request) {
    auto session = session_of(request);
    if (const auto visits = co_await session.increment("visits")) {
      co_return Response{200, page(fmt::format("Logged in as {}.<br>\n"
                                               "Visits: {}\n"
                                               "<p><a href=\"/sessions\">Your sessions</a></p>\n"
                                               "<p><a href=\"/logout\">Log out</a></p>",
                                               escape(session["username"]), *visits))};
    }
    co_return Response{200, page("You are not logged in\n<p><a href=\"/login\">Log in</a></p>")};
  }
  //! [index]

  //! [login]
  asio::awaitable<Response> login(Request request) {
    if (request.method() == Method::Post) {
      require_same_origin(request);
      auto session = session_of(request);
      co_await session.log_in(submitted_username(request));
      auto response = redirect("/");
      cookie_.write(response, std::string{session.token()->text()});
      co_return response;
    }
    co_return Response{200, page(login_form())};
  }
  //! [login]

  //! [logout]
  asio::awaitable<Response> logout(Request request) {
    require_same_origin(request);
    co_await session_of(request).log_out();
    auto response = redirect("/");
    cookie_.remove(response);
    co_return response;
  }
  //! [logout]

  //! [sessions]
  asio::awaitable<Response> list_sessions(Request request) {
    auto session = session_of(request);
    const auto username = co_await session.get("username");
    if (!username) {
      co_return redirect("/");
    }
    auto list = co_await store_.list(*username);
    co_return Response{200, page(session_list(*username, std::move(list), *session.token()))};
  }

  asio::awaitable<Response> logout_everywhere(Request request) {
    require_same_origin(request);
    if (const auto username = co_await session_of(request).get("username")) {
      co_await store_.destroy_all(*username);
    }
    auto response = redirect("/");
    cookie_.remove(response);
    co_return response;
  }
  //! [sessions]

 private:
  // A cookie that holds no token is no cookie: the visitor is anonymous.
  Session session_of(const Request& request) const {
    const auto text = cookie_.read(request);
    return {store_, text ? SessionToken::parse(*text) : std::nullopt};
  }

  SignedCookie cookie_;
  SessionStore& store_;
};

}  // namespace

int main(int argc, char** argv) {
  StepDescription step{
      .name = "step5_sessionstore",
      .summary = "Keeps sessions in memory, Redis or Firestore, behind one interface.",
      .variables = session_store_variables()};
  step.variables.insert(step.variables.begin(), {kSecretKey, kSecretKeyFallbacks, kCookieSecure});
  return run_step(argc, argv, step, [](const Settings& settings) {
    EventLoop event_loop;
    const auto store = make_session_store(settings, event_loop);
    if (settings.check()) {
      return check_session_store(event_loop, *store);
    }
    Application application{settings, *store};
    const BackgroundPurge purge{event_loop, *store};
    Routes routes;
    routes.add("/", {Method::Get}, application, &Application::index);
    routes.add("/login", {Method::Get, Method::Post}, application, &Application::login);
    routes.add("/logout", {Method::Get, Method::Post}, application, &Application::logout,
               Routes::Kind::kAction);
    routes.add("/sessions", {Method::Get}, application, &Application::list_sessions);
    routes.add("/logout-everywhere", {Method::Post}, application, &Application::logout_everywhere);
    return serve(settings, event_loop, routes,
                 [&] { warn_about_store(settings, event_loop, *store); });
  });
}
