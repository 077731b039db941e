#include "attack.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <asio/co_spawn.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "cookie_jars.hpp"
#include "errors.hpp"
#include "http_request.hpp"

namespace sessions::inspector {
namespace {

using nlohmann::json;

/// A text that stays within its line of a request's head, and within its word if it is one.
std::string line_of(const json& text, bool is_word) {
  auto line = text.get<std::string>();
  if (std::ranges::any_of(
          line, [&](unsigned char c) { return c < 0x20 || c == 0x7f || (is_word && c == ' '); })) {
    throw HttpError{400, "A method, path or header must not contain control characters."};
  }
  return line;
}

std::string wire_text(const Attack& attack, const TcpAddress& front) {
  auto text = fmt::format("{} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {}\r\nConnection: close\r\n",
                          attack.method, attack.path, front.text(), CookieJars::kBench);
  for (const auto& [name, value] : attack.headers) {
    text += fmt::format("{}: {}\r\n", name, value);
  }
  if (!attack.body.empty()) {
    text += fmt::format("Content-Length: {}\r\n", attack.body.size());
  }
  return text + "\r\n" + attack.body;
}

json result_of(const std::exception_ptr& failure, const HttpMessage& answer) {
  try {
    if (failure) {
      std::rethrow_exception(failure);
    }
    return {{"status", answer.status()}, {"head", answer.head}, {"body", answer.body}};
  } catch (const std::exception& error) {
    return {{"status", 0}, {"head", ""}, {"body", error.what()}};
  }
}

}  // namespace

Attack Attack::parse(const json& json) {
  try {
    Attack attack{line_of(json.at("method"), true),
                  line_of(json.at("path"), true),
                  {},
                  json.at("body").get<std::string>(),
                  json.at("times").get<int>()};
    for (const auto& header : json.at("headers")) {
      attack.headers.emplace_back(line_of(header.at(0), true), line_of(header.at(1), false));
    }
    if (attack.method.empty() || !attack.path.starts_with('/')) {
      throw HttpError{400, "An attack needs a method and a path that begins with /."};
    }
    if (attack.times < 1 || attack.times > kMaxTimes) {
      throw HttpError{400, fmt::format("An attack is sent 1 to {} times.", kMaxTimes)};
    }
    return attack;
  } catch (const nlohmann::json::exception&) {
    throw HttpError{400, "An attack has the fields method, path, headers, body and times."};
  }
}

asio::awaitable<json> carry_out(Attack attack, TcpAddress front) {
  const auto executor = co_await asio::this_coro::executor;
  asio::steady_timer all_answered{executor, asio::steady_timer::time_point::max()};
  auto results = json::array();
  const auto request = wire_text(attack, front);
  for (int i = 0; i < attack.times; ++i) {
    asio::co_spawn(executor, send_request(front, request),
                   [&](const std::exception_ptr& failure, const HttpMessage& answer) {
                     results.push_back(result_of(failure, answer));
                     if (results.size() == static_cast<std::size_t>(attack.times)) {
                       all_answered.cancel();
                     }
                   });
  }
  asio::error_code cancelled;
  co_await all_answered.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  co_return results;
}

std::string planted_cookie(const json& json) {
  try {
    return fmt::format("\r\nSet-Cookie: {}={}; Path=/; HttpOnly; SameSite=Lax",
                       line_of(json.at("name"), true), line_of(json.at("value"), true));
  } catch (const nlohmann::json::exception&) {
    throw HttpError{400, "A planted cookie has the fields jar, name and value."};
  }
}

}  // namespace sessions::inspector
