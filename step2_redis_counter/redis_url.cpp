#include "redis_url.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <charconv>
#include <memory>

#include "errors.hpp"

namespace sessions {
namespace {

constexpr std::string_view kForms =
    "redis://[[user]:password@]host[:port][/db], rediss://..., or unix:///path[?db=N]";

std::string part_of(CURLU& url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(&url, part, &text, CURLU_URLDECODE) != CURLUE_OK) {
    return {};
  }
  const std::unique_ptr<char, decltype(&curl_free)> owned{text, curl_free};
  return text;
}

int database_number(std::string_view setting, std::string_view text) {
  int number = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
  if (!text.empty() &&
      (result.ec != std::errc{} || result.ptr != text.data() + text.size() || number < 0)) {
    throw SettingError{setting, "the database must be a whole number from 0 on"};
  }
  return number;
}

}  // namespace

RedisUrl RedisUrl::parse(std::string_view setting, const std::string& url) {
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed{curl_url(), curl_url_cleanup};
  // libcurl wants a host, which the URL of a Unix socket does not have.
  const bool is_unix_socket = url.starts_with("unix:///");
  const auto text = is_unix_socket ? "unix://socket/" + url.substr(sizeof "unix:///" - 1) : url;
  if (curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
      CURLUE_OK) {
    throw SettingError{setting, fmt::format("is not a Redis URL. Use {}", kForms)};
  }
  const auto scheme = part_of(*parsed, CURLUPART_SCHEME);
  const auto path = part_of(*parsed, CURLUPART_PATH);
  RedisUrl result;
  if (is_unix_socket) {
    const auto query = part_of(*parsed, CURLUPART_QUERY);
    if (!query.empty() && !query.starts_with("db=")) {
      throw SettingError{setting, "a Unix socket's URL may only be followed by ?db=N"};
    }
    result.path = path;
    result.database = database_number(setting, query.empty() ? "" : query.substr(sizeof "db=" - 1));
  } else if (scheme == "redis" || scheme == "rediss") {
    const auto port = part_of(*parsed, CURLUPART_PORT);
    result.tls = scheme == "rediss";
    result.host = part_of(*parsed, CURLUPART_HOST);
    result.port = port.empty() ? "6379" : port;
    result.username = part_of(*parsed, CURLUPART_USER);
    result.password = part_of(*parsed, CURLUPART_PASSWORD);
    result.database = database_number(setting, path.empty() ? "" : path.substr(1));
  } else {
    throw SettingError{setting, fmt::format("is not a Redis URL. Use {}", kForms)};
  }
  return result;
}

std::string RedisUrl::without_password() const {
  if (host.empty()) {
    return fmt::format("unix://{}?db={}", path, database);
  }
  return fmt::format("{}://{}:{}/{}", tls ? "rediss" : "redis", host, port, database);
}

}  // namespace sessions
