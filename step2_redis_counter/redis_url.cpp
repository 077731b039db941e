#include "redis_url.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "errors.hpp"

namespace sessions {

RedisUrl RedisUrl::parse(std::string_view setting, const std::string& url) {
  const auto require = [setting](bool is_right, const std::string& problem) {
    if (!is_right) {
      throw SettingError{setting, problem};
    }
  };
  // libcurl wants a host, which the URL of a Unix socket does not have, and takes a path for one.
  const bool is_unix_socket = url.starts_with("unix:///");
  const auto text = is_unix_socket ? "unix://socket/" + url.substr(sizeof "unix:///" - 1) : url;
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed{curl_url(), curl_url_cleanup};
  const bool is_url = text.find(":///") == std::string::npos &&
                      curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(),
                                   CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK;
  const auto part = [&](CURLUPart which, const char* if_missing = "") -> std::string {
    char* found = nullptr;
    const auto result = curl_url_get(parsed.get(), which, &found, CURLU_URLDECODE);
    const std::unique_ptr<char, decltype(&curl_free)> owned{found, curl_free};
    require(result != CURLUE_URLDECODE, "contains an encoded control character");
    return result == CURLUE_OK ? found : if_missing;
  };
  const auto scheme = part(CURLUPART_SCHEME);
  const auto path = part(CURLUPART_PATH, "/");
  const auto query = part(CURLUPART_QUERY);
  const bool is_socket = is_unix_socket && (query.empty() || query.starts_with("db="));
  const bool is_server = (scheme == "redis" || scheme == "rediss") && query.empty() &&
                         part(CURLUPART_FRAGMENT).empty();
  require(is_url && (is_socket || is_server),
          fmt::format("is not a Redis URL. Use {}", kRedisUrl.help));
  RedisUrl result;
  std::string database;
  if (is_socket) {
    result.path = path;
    database = query.substr(query.find('=') + 1);
  } else {
    result.tls = scheme == "rediss";
    result.host = part(CURLUPART_HOST);
    if (result.host.starts_with('[')) {  // an IPv6 address
      result.host = result.host.substr(1, result.host.size() - 2);
    }
    result.port = part(CURLUPART_PORT, "6379");
    result.username = part(CURLUPART_USER);
    result.password = part(CURLUPART_PASSWORD);
    database = path.substr(1);
  }
  const auto* end = database.data() + database.size();
  const auto number = std::from_chars(database.data(), end, result.database);
  require(database.empty() || (number.ec == std::errc{} && number.ptr == end),
          "the database must be a whole number from 0 on");
  require(result.port != "0", "the port must be from 1 to 65535");
  require(result.username.empty() || !result.password.empty(),
          "has a user and no password; a password alone is :password@");
  return result;
}

std::string RedisUrl::without_password() const {
  if (host.empty()) {
    return fmt::format("unix://{}?db={}", path, database);
  }
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return fmt::format("{}://{}:{}/{}", tls ? "rediss" : "redis",
                     is_ipv6 ? fmt::format("[{}]", host) : host, port, database);
}

}  // namespace sessions
