// Where Redis is and how to log in there.
#pragma once

#include <string>
#include <string_view>

#include "settings.hpp"

namespace sessions {

inline constexpr EnvironmentVariable kRedisUrl{
    "REDIS_URL", "redis://127.0.0.1:6379",
    "redis://[[user]:password@]host[:port][/db], rediss:// for TLS, or unix:///path[?db=N]"};

/// A Redis URL, taken apart.
struct RedisUrl {
  std::string host;  ///< empty for a Unix socket
  std::string port;
  std::string path;  ///< of the Unix socket
  std::string username;
  std::string password;
  unsigned database = 0;
  bool tls = false;

  /// Throws SettingError, which names `setting`, if the URL cannot be used.
  static RedisUrl parse(std::string_view setting, const std::string& url);

  /// The URL without the password, for log lines.
  std::string without_password() const;
};

}  // namespace sessions
