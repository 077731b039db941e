#include "signed_cookie.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <jwt/jwt.hpp>
#include <nlohmann/json.hpp>
#include <ranges>

#include "errors.hpp"

namespace sessions {
namespace {

constexpr std::size_t kMinKeyBytes = 32;
constexpr std::size_t kMaxTokenBytes = 4096;  // what a browser keeps of one cookie
constexpr std::uint64_t kClockSkew = 60;      // between the servers that share a key

bool is_blank(unsigned char byte) { return std::isspace(byte) != 0; }

}  // namespace

std::vector<SigningKey> signing_keys(const Settings& settings) {
  std::vector<std::string> secrets{settings[kSecretKey]};
  if (secrets.front().empty()) {
    throw SettingError{kSecretKey.name,
                       "is not set. Make one: export SECRET_KEY=$(openssl rand -hex 32)"};
  }
  for (const auto part : std::views::split(settings[kSecretKeyFallbacks], ',')) {
    secrets.emplace_back(part.begin(), part.end());
  }
  for (const auto& secret : secrets) {
    const auto setting = &secret == &secrets.front() ? kSecretKey.name : kSecretKeyFallbacks.name;
    if (secret.size() < kMinKeyBytes) {
      throw SettingError{setting,
                         "each key needs at least 32 bytes. Make one: openssl rand -hex 32"};
    }
    if (is_blank(secret.front()) || is_blank(secret.back())) {
      throw SettingError{setting, "a key begins or ends with a blank. Remove it"};
    }
  }
  return {secrets.begin(), secrets.end()};
}

namespace {

std::uint64_t seconds_since_epoch() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(
                                        std::chrono::system_clock::now().time_since_epoch())
                                        .count());
}

/// What a token says (RFC 7519, section 4). Times are seconds since 1970.
struct Claims {
  std::string audience;
  std::uint64_t issued;
  std::uint64_t expires;
  std::string value;
};

/// Reads the second part of a token. Nothing if one of the four is missing or of another type.
std::optional<Claims> parse_claims(std::string_view base64url, const std::string& claim) {
  if (std::ranges::any_of(base64url, [](unsigned char byte) { return byte >= 0x80; })) {
    return std::nullopt;  // cpp-jwt would read beyond its table
  }
  try {
    const auto json =
        nlohmann::json::parse(jwt::base64_uri_decode(base64url.data(), base64url.size()));
    const auto text = [&](const std::string& name) {
      return json.at(name).get_ref<const std::string&>();
    };
    // Not get(), which would make a time in the far future of a negative number.
    const auto time = [&](const std::string& name) {
      return json.at(name).get_ref<const nlohmann::json::number_unsigned_t&>();
    };
    return Claims{text("aud"), time("iat"), time("exp"), text(claim)};
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;
  }
}

}  // namespace

SignedCookie::SignedCookie(const Settings& settings, std::string_view name, std::string claim)
    : cookie_{settings, name},
      claim_{std::move(claim)},
      audience_{"cpp-sessions/" + claim_},
      header_{jwt::jwt_header{jwt::algorithm::HS256}.base64_encode() + "."},
      keys_{signing_keys(settings)} {}

//! [read]
std::optional<std::string> SignedCookie::read(const Request& request) const {
  const auto token = cookie_.read(request);
  const auto part = token ? verified_claims(*token) : std::nullopt;
  auto claims = part ? parse_claims(*part, claim_) : std::nullopt;
  const auto now = seconds_since_epoch();
  if (!claims || claims->audience != audience_ || claims->issued > now + kClockSkew ||
      claims->expires <= now) {
    return std::nullopt;
  }
  return std::move(claims->value);
}

std::optional<std::string_view> SignedCookie::verified_claims(std::string_view token) const {
  const auto last_dot = token.rfind('.');
  if (token.size() > kMaxTokenBytes || !token.starts_with(header_) || last_dot < header_.size()) {
    return std::nullopt;
  }
  const auto signed_part = token.substr(0, last_dot);
  const auto signature = token.substr(last_dot + 1);
  const bool is_signed = std::ranges::any_of(
      keys_, [&](const auto& key) { return key.has_signed(signed_part, signature); });
  return is_signed ? std::optional{signed_part.substr(header_.size())} : std::nullopt;
}
//! [read]

//! [write]
void SignedCookie::write(Response& response, const std::string& value) const {
  using namespace jwt::params;
  const auto now = seconds_since_epoch();
  jwt::jwt_object token{algorithm("HS256"), secret(keys_.front().secret())};
  token.add_claim("aud", audience_)
      .add_claim("iat", now)
      .add_claim("exp", now + kTokenLifetime.count())
      .add_claim(claim_, value);
  cookie_.write(response, token.signature());
}
//! [write]

void SignedCookie::remove(Response& response) const { cookie_.remove(response); }

}  // namespace sessions
