// The attack bench's half in the server: a browser cannot send just any cookie.
#pragma once

#include <asio/awaitable.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "relay.hpp"

namespace sessions::inspector {

/// A request to be sent, and how many times at once.
struct Attack {
  std::string method;
  std::string path;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  int times = 1;

  static constexpr int kMaxTimes = 100;

  /// Throws HttpError 400 if it says what cannot be sent as one HTTP request.
  static Attack parse(const nlohmann::json& json);
};

/// Sends it, as a visitor does, and returns a list of {status, head, body}.
asio::awaitable<nlohmann::json> carry_out(Attack attack, TcpAddress front);

/// The line "\r\nSet-Cookie: NAME=VALUE; ..." for {name, value}. Throws HttpError 400 if the value
/// would end the line.
std::string planted_cookie(const nlohmann::json& json);

}  // namespace sessions::inspector
