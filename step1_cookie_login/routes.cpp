#include "routes.hpp"

#include <algorithm>
#include <array>

#include "pages.hpp"

namespace sessions {
namespace {

Response with_allow(Response response, const std::string& allow) {
  response.add_header("Allow", allow);
  return response;
}

bool is_prefetch(const Request& request) {
  return std::ranges::any_of(std::array{"Sec-Purpose", "Purpose"}, [&](const auto* name) {
    return request.header(name).value_or("").starts_with("prefetch");
  });
}

}  // namespace

void Routes::add(std::string path, std::initializer_list<Method> methods, Handler handler,
                 Kind kind) {
  Route route{methods, {}, std::move(handler), kind};
  if (kind == Kind::kPage && std::ranges::count(methods, Method::Get) > 0) {
    route.methods.push_back(Method::Head);
  }
  for (const auto method : route.methods) {
    route.allow.append(Pistache::Http::methodString(method)).append(", ");
  }
  route.allow += "OPTIONS";
  routes_.insert_or_assign(std::move(path), std::move(route));
}

asio::awaitable<Response> Routes::answer(Request request) const {
  const auto found = routes_.find(request.path());
  if (found == routes_.end()) {
    co_return error_page(404, "There is no such page.");
  }
  const auto& route = found->second;
  const auto method = request.method();
  if (method == Method::Options) {
    co_return with_allow(Response{204, ""}, route.allow);
  }
  if (std::ranges::count(route.methods, method) == 0) {
    co_return with_allow(error_page(405, "This page does not answer that method."), route.allow);
  }
  if (route.kind == Kind::kAction && is_prefetch(request)) {
    co_return error_page(503, "This page is not for loading in advance.");
  }
  co_return co_await route.handler(std::move(request));
}

}  // namespace sessions
