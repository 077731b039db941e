#include "cookie_check.hpp"

#include <algorithm>
#include <jwt/jwt.hpp>
#include <nlohmann/json.hpp>
#include <ranges>

namespace sessions::inspector {
namespace {

constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";  // of base64url
constexpr std::size_t kSecretWord = 16;

bool is_digit(char character) { return kDigits.find(character) != std::string_view::npos; }

bool looks_like_token(std::string_view text) {
  return text.starts_with("eyJ") && std::ranges::count(text, '.') == 2 &&
         std::ranges::all_of(text, [](char c) { return c == '.' || is_digit(c); });
}

}  // namespace

CookieKeys::CookieKeys(std::string_view secret, std::string_view fallbacks) {
  if (secret.empty()) {
    return;
  }
  keys_.emplace_back(std::string{secret});
  for (const auto part : std::views::split(fallbacks, ',')) {
    keys_.emplace_back(std::string{part.begin(), part.end()});
  }
}

std::string_view CookieKeys::signature_of(std::string_view cookie) const {
  if (!looks_like_token(cookie)) {
    return "none";
  }
  if (keys_.empty()) {
    return "unchecked";
  }
  const auto last_dot = cookie.rfind('.');
  const auto found = std::ranges::find_if(keys_, [&](const auto& key) {
    return key.has_signed(cookie.substr(0, last_dot), cookie.substr(last_dot + 1));
  });
  if (found == keys_.end()) {
    return "wrong";
  }
  return found == keys_.begin() ? "current" : "old";
}

std::vector<std::string> identities_in(const std::string& cookie) {
  std::vector<std::string> identities{cookie};
  if (looks_like_token(cookie)) {
    const auto begin = cookie.find('.') + 1;
    const auto payload = cookie.substr(begin, cookie.rfind('.') - begin);
    const auto text = jwt::base64_uri_decode(payload.data(), payload.size());
    const auto claims = nlohmann::json::parse(text, nullptr, false);
    for (const auto& [name, value] : claims.items()) {
      if (value.is_string() && name != "aud" && name != "iss") {
        identities.push_back(value.get<std::string>());
      }
    }
  }
  std::erase_if(identities, [](const auto& identity) { return identity.empty(); });
  return identities;
}

bool names(std::string_view text, std::string_view identity) {
  for (auto at = text.find(identity); at != std::string_view::npos;
       at = text.find(identity, at + 1)) {
    const auto end = at + identity.size();
    if ((at == 0 || !is_digit(text[at - 1])) && (end == text.size() || !is_digit(text[end]))) {
      return true;
    }
  }
  for (std::size_t begin = text.find_first_of(kDigits); begin < text.size();) {
    const auto end = std::min(text.find_first_not_of(kDigits, begin), text.size());
    if (end - begin >= kSecretWord &&
        identity.find(text.substr(begin, end - begin)) != std::string_view::npos) {
      return true;
    }
    begin = text.find_first_of(kDigits, end);
  }
  return false;
}

}  // namespace sessions::inspector
