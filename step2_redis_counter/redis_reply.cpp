#include "redis_reply.hpp"

#include <algorithm>
#include <array>

namespace sessions {

std::string_view RedisError::code() const {
  const std::string_view text = what();
  return text.substr(0, text.find(' '));
}

bool RedisError::is_redirection() const {
  return code() == "MOVED" || code() == "ASK" || code() == "TRYAGAIN";
}

bool RedisError::is_about_server() const {
  constexpr std::array<std::string_view, 9> kCodes{"LOADING",  "BUSY",       "MASTERDOWN",
                                                   "READONLY", "OOM",        "MISCONF",
                                                   "NOPERM",   "NOREPLICAS", "CLUSTERDOWN"};
  return is_redirection() || std::ranges::find(kCodes, code()) != kCodes.end() ||
         // NOPERM in a script (Redis 7.0)
         std::string_view{what()}.starts_with("ERR The user executing the script");
}

}  // namespace sessions
