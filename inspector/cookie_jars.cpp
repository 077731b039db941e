#include "cookie_jars.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>

#include "http_message.hpp"

namespace sessions::inspector {
namespace {

constexpr std::size_t kMaxPast = 8;
constexpr Time kSecond = 1'000'000;

CookiePair pair_of(std::string_view text) {
  const auto equals = text.find('=');
  if (equals == std::string_view::npos) {
    return {"", std::string{without_blanks_around(text)}};
  }
  return {std::string{without_blanks_around(text.substr(0, equals))},
          std::string{without_blanks_around(text.substr(equals + 1))}};
}

/// Calls `use` with each part of a header, trimmed.
template <typename Use>
void for_each_part(std::string_view header, Use use) {
  while (!header.empty()) {
    const auto end = std::min(header.find(';'), header.size());
    use(without_blanks_around(header.substr(0, end)));
    header.remove_prefix(std::min(end + 1, header.size()));
  }
}

/// When a cookie with these attributes expires; Max-Age counts more than Expires (RFC 6265, 5.3).
std::optional<Time> expiry_in(std::string_view attributes) {
  std::optional<Time> by_date;
  std::optional<Time> by_age;
  for_each_part(attributes, [&](std::string_view part) {
    const auto [name, value] = pair_of(part);
    if (equals_without_case(name, "Max-Age")) {
      by_age = now() + std::strtoll(value.c_str(), nullptr, 10) * kSecond;
    } else if (equals_without_case(name, "Expires")) {
      const auto seconds = curl_getdate(value.c_str(), nullptr);
      by_date = seconds < 0 ? std::nullopt : std::optional{seconds * kSecond};
    }
  });
  return by_age ? by_age : by_date;
}

bool holds_any(const Jar& jar, const std::vector<CookiePair>& cookies) {
  return std::ranges::any_of(cookies, [&](const auto& cookie) {
    const auto held = jar.cookies.find(cookie.first);
    return (held != jar.cookies.end() && held->second.value == cookie.second) ||
           std::ranges::count(jar.past, cookie) > 0;
  });
}

void remember(Jar& jar, const CookiePair& cookie) {
  std::erase(jar.past, cookie);
  jar.past.push_front(cookie);
  if (jar.past.size() > kMaxPast) {
    jar.past.pop_back();
  }
}

void put(Jar& jar, const CookiePair& cookie, std::string attributes = {},
         std::optional<Time> expires = std::nullopt) {
  auto& held = jar.cookies[cookie.first];
  if (held.value != cookie.second || !attributes.empty()) {
    if (held.value != cookie.second && !held.value.empty()) {
      remember(jar, {cookie.first, held.value});
    }
    held = {cookie.second, std::move(attributes), expires, now()};
  }
}

}  // namespace

Time now() {
  return std::chrono::duration_cast<std::chrono::microseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::vector<CookiePair> cookies_in(std::string_view header) {
  std::vector<CookiePair> cookies;
  for_each_part(header, [&](std::string_view part) { cookies.push_back(pair_of(part)); });
  return cookies;
}

Jar& CookieJars::seen(std::uint64_t connection, const std::string& user_agent,
                      const std::vector<CookiePair>& cookies, bool shows_all) {
  auto& jar = jar_of(connection, user_agent, cookies);
  if (shows_all) {
    std::erase_if(jar.cookies, [&](const auto& held) {
      const bool is_shown = std::ranges::any_of(
          cookies, [&](const auto& cookie) { return cookie.first == held.first; });
      if (!is_shown) {
        remember(jar, {held.first, held.second.value});
      }
      return !is_shown;
    });
  }
  for (const auto& cookie : cookies) {
    put(jar, cookie);
  }
  jar.last_seen = now();
  jar.requests += 1;
  return jar;
}

Jar* CookieJars::answered(std::uint64_t connection, std::uint64_t id,
                          const std::vector<std::string>& set_cookie) {
  auto* jar = find(id);
  if (jar == nullptr || set_cookie.empty()) {
    return jar;
  }
  for (const auto& header : set_cookie) {
    const auto end = std::min(header.find(';'), header.size());
    const auto cookie = pair_of(header.substr(0, end));
    const auto attributes = std::string{
        without_blanks_around(std::string_view{header}.substr(std::min(end + 1, header.size())))};
    const auto expires = expiry_in(attributes);
    if (expires && *expires <= now()) {
      const auto held = jar->cookies.find(cookie.first);
      if (held != jar->cookies.end()) {
        remember(*jar, {held->first, held->second.value});
        jar->cookies.erase(held);
      }
      jar->deleted = cookie.first;
    } else {
      put(*jar, cookie, attributes, expires);
      jar->deleted.clear();
    }
  }
  // Who else has shared the jar so far has not got this cookie.
  std::erase_if(connections_, [&](const auto& binding) {
    return binding.first != connection && binding.second.jar == id && !binding.second.is_certain;
  });
  const auto own = connections_.find(connection);
  if (own != connections_.end()) {
    own->second.is_certain = true;
  }
  return jar;
}

Jar* CookieJars::find(std::uint64_t id) {
  const auto found = std::ranges::find(jars_, id, &Jar::id);
  return found == jars_.end() ? nullptr : &*found;
}

Jar& CookieJars::jar_of(std::uint64_t connection, const std::string& user_agent,
                        const std::vector<CookiePair>& cookies) {
  const auto bound = connections_.find(connection);
  if (bound != connections_.end()) {
    auto* jar = find(bound->second.jar);
    if (jar != nullptr && (bound->second.is_certain || (cookies.empty() && jar->cookies.empty()))) {
      return *jar;
    }
  }
  const auto is_candidate = [&](const Jar& jar) {
    return jar.user_agent == user_agent &&
           (user_agent == kBench ||
            (cookies.empty() ? jar.cookies.empty() : holds_any(jar, cookies)));
  };
  // From the one that was seen last: a cookie that was copied is in several jars.
  const auto found = std::ranges::find_if(jars_, is_candidate);
  if (found != jars_.end()) {
    jars_.splice(jars_.begin(), jars_, found);
  }
  auto& jar = found == jars_.end() ? new_jar(user_agent) : *found;
  connections_.insert_or_assign(connection, Binding{jar.id, !cookies.empty()});
  return jar;
}

Jar& CookieJars::new_jar(const std::string& user_agent) {
  if (jars_.size() == kMaxJars) {
    jars_.pop_back();
  }
  auto& jar = jars_.emplace_front();
  jar.id = ++last_id_;
  jar.user_agent = user_agent;
  return jar;
}

}  // namespace sessions::inspector
