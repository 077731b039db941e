#include "redis_reply.hpp"

#include <algorithm>
#include <array>

namespace sessions {

std::string_view RedisError::code() const {
  const std::string_view text = what();
  return text.substr(0, text.find(' '));
}

bool RedisError::is_redirection() const {
  constexpr std::array<std::string_view, 4> kCodes{"MOVED", "ASK", "TRYAGAIN", "CLUSTERDOWN"};
  return std::ranges::find(kCodes, code()) != kCodes.end();
}

bool RedisError::is_about_server() const {
  constexpr std::array<std::string_view, 8> kCodes{
      "LOADING", "BUSY", "MASTERDOWN", "READONLY", "OOM", "MISCONF", "NOPERM", "NOREPLICAS"};
  return is_redirection() || std::ranges::find(kCodes, code()) != kCodes.end() ||
         // NOPERM in a script (Redis 7.0)
         std::string_view{what()}.starts_with("ERR The user executing the script");
}

}  // namespace sessions
