// A server with a page that is longer than what sockets hold, and one that echoes a cookie.

#include "program.hpp"

using namespace sessions;

int main(int argc, char** argv) {
  const StepDescription step{
      .name = "long_page", .summary = "Serves a long page.", .has_store = false, .variables = {}};
  return run_step(argc, argv, step, [](const Settings& settings) {
    EventLoop event_loop;
    Routes routes;
    routes.add("/", {Method::Get}, [](Request request) -> asio::awaitable<Response> {
      co_return Response{200, request.cookie("name").value_or("")};
    });
    routes.add("/long", {Method::Get}, [](Request /*request*/) -> asio::awaitable<Response> {
      co_return Response{200, std::string(1'000'000, '.')};
    });
    return serve(settings, event_loop, routes);
  });
}
