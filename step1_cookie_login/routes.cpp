#include "routes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "pages.hpp"

namespace sessions {
namespace {

Reply with_allow(Reply reply, const std::string& allow) {
  reply.add_header("Allow", allow);
  return reply;
}

}  // namespace

void Routes::add(std::string path, std::initializer_list<Method> methods, Handler handler) {
  Route route{methods, {}, std::move(handler)};
  if (std::ranges::count(methods, Method::Get) > 0) {
    route.methods.push_back(Method::Head);
  }
  for (const auto method : route.methods) {
    route.allow.append(Pistache::Http::methodString(method)).append(", ");
  }
  route.allow += "OPTIONS";
  routes_.insert_or_assign(std::move(path), std::move(route));
}

asio::awaitable<Reply> Routes::answer(Request request) const {
  const auto found = routes_.find(request.path());
  if (found == routes_.end()) {
    co_return error_reply(404, "There is no such page.");
  }
  const auto& route = found->second;
  const auto method = request.method();
  if (method == Method::Options) {
    co_return with_allow(Reply{204, ""}, route.allow);
  }
  if (std::ranges::count(route.methods, method) == 0) {
    co_return with_allow(error_reply(405, "This page does not answer that method."), route.allow);
  }
  co_return co_await route.handler(std::move(request));
}

Reply error_reply(int status, std::string_view sentence) {
  return {status, page(fmt::format("<h1>{} {}</h1>\n<p>{}</p>", status, reason_phrase(status),
                                   escape(sentence)))};
}

}  // namespace sessions
