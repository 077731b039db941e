#include "redis_url.hpp"

#include <curl/curl.h>
#include <fmt/format.h>

#include <charconv>
#include <memory>
#include <optional>

#include "errors.hpp"

namespace sessions {
namespace {

constexpr std::string_view kForms =
    "redis://[[user]:password@]host[:port][/db], rediss://..., or unix:///path[?db=N]";

/// A part of the URL, percent-decoded; nothing if the URL does not have it.
std::optional<std::string> part_of(std::string_view setting, CURLU& url, CURLUPart part) {
  char* text = nullptr;
  const auto result = curl_url_get(&url, part, &text, CURLU_URLDECODE);
  const std::unique_ptr<char, decltype(&curl_free)> owned{text, curl_free};
  if (result == CURLUE_URLDECODE) {
    throw SettingError{setting, "contains an encoded control character"};
  }
  return result == CURLUE_OK ? std::optional<std::string>{text} : std::nullopt;
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
  const SettingError not_a_redis_url{setting, fmt::format("is not a Redis URL. Use {}", kForms)};
  const std::unique_ptr<CURLU, decltype(&curl_url_cleanup)> parsed{curl_url(), curl_url_cleanup};
  // libcurl wants a host, which the URL of a Unix socket does not have.
  const bool is_unix_socket = url.starts_with("unix:///");
  const auto text = is_unix_socket ? "unix://socket/" + url.substr(sizeof "unix:///" - 1) : url;
  // It also takes a path for a host if there is none.
  if (text.find(":///") != std::string::npos ||
      curl_url_set(parsed.get(), CURLUPART_URL, text.c_str(), CURLU_NON_SUPPORT_SCHEME) !=
          CURLUE_OK) {
    throw not_a_redis_url;
  }
  const auto part = [&](CURLUPart which) { return part_of(setting, *parsed, which); };
  const auto scheme = part(CURLUPART_SCHEME);
  const auto path = part(CURLUPART_PATH).value_or("/");
  const auto query = part(CURLUPART_QUERY);
  RedisUrl result;
  if (is_unix_socket) {
    if (query && !query->starts_with("db=")) {
      throw SettingError{setting, "a Unix socket's URL may only be followed by ?db=N"};
    }
    result.path = path;
    result.database = database_number(setting, query ? query->substr(sizeof "db=" - 1) : "");
  } else if ((scheme == "redis" || scheme == "rediss") && !query && !part(CURLUPART_FRAGMENT)) {
    result.tls = scheme == "rediss";
    result.host = part(CURLUPART_HOST).value_or("");
    if (result.host.starts_with('[')) {  // an IPv6 address
      result.host = result.host.substr(1, result.host.size() - 2);
    }
    result.port = part(CURLUPART_PORT).value_or("6379");
    if (result.port == "0") {
      throw SettingError{setting, "the port must be from 1 to 65535"};
    }
    result.username = part(CURLUPART_USER).value_or("");
    result.password = part(CURLUPART_PASSWORD).value_or("");
    result.database = database_number(setting, path.substr(1));
  } else {
    throw not_a_redis_url;
  }
  if (!result.username.empty() && result.password.empty()) {
    throw SettingError{setting, "has a user and no password; a password alone is :password@"};
  }
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
