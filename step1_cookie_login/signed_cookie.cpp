#include "signed_cookie.hpp"

#include <algorithm>
#include <chrono>
#include <jwt/jwt.hpp>
#include <ranges>

#include "errors.hpp"

namespace sessions {
namespace {

constexpr std::size_t kMinKeyBytes = 32;
constexpr std::size_t kMaxTokenBytes = 4096;  // what a browser keeps of one cookie
constexpr std::chrono::seconds kLifetime = std::chrono::days{31};
constexpr std::chrono::seconds kClockSkew{60};  // between the servers that share a key

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
    if (secret.size() < kMinKeyBytes) {
      throw SettingError{&secret == &secrets.front() ? kSecretKey.name : kSecretKeyFallbacks.name,
                         "each key needs at least 32 bytes. Make one: openssl rand -hex 32"};
    }
  }
  return {secrets.begin(), secrets.end()};
}

/// True if the token has three parts and the last one is the signature of the others.
///
/// cpp-jwt can verify too, but it parses first, aborts on bytes above 0x7f and compares signatures
/// in a time that depends on their content. So the signature is checked here, before anything is
/// parsed.
bool is_signed_with_any(std::string_view token, const std::vector<SigningKey>& keys) {
  if (token.size() > kMaxTokenBytes || std::ranges::count(token, '.') != 2) {
    return false;
  }
  const auto last_dot = token.rfind('.');
  const auto signature = token.substr(last_dot + 1);
  const auto signed_part = token.substr(0, last_dot);
  return std::ranges::any_of(
      keys, [&](const auto& key) { return key.has_signed(signed_part, signature); });
}

std::int64_t seconds_since_epoch() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

}  // namespace

SignedCookie::SignedCookie(const Settings& settings, std::string_view name, std::string claim)
    : cookie_{settings, name},
      claim_{std::move(claim)},
      audience_{"cpp-sessions/" + claim_},
      keys_{signing_keys(settings)} {}

//! [read]
std::optional<std::string> SignedCookie::read(const Request& request) const {
  const auto token = cookie_.read(request);
  if (!token || !is_signed_with_any(*token, keys_)) {
    return std::nullopt;
  }
  try {
    const auto parts = jwt::jwt_object::three_parts(*token);
    const jwt::jwt_header header{parts[0]};
    const jwt::jwt_payload payload{parts[1]};
    const auto& claims = payload.create_json_obj();
    const auto now = seconds_since_epoch();
    const auto issued = claims.at("iat").get_ref<const nlohmann::json::number_unsigned_t&>();
    const auto expires = claims.at("exp").get_ref<const nlohmann::json::number_unsigned_t&>();
    if (header.create_json_obj().at("alg") != "HS256" || claims.at("aud") != audience_ ||
        std::cmp_greater(issued, now + kClockSkew.count()) || std::cmp_less_equal(expires, now)) {
      return std::nullopt;
    }
    return claims.at(claim_).get<std::string>();
  } catch (const std::exception&) {
    return std::nullopt;  // signed with our key, but not one of our tokens
  }
}
//! [read]

//! [write]
void SignedCookie::write(Response& response, const std::string& value) const {
  using namespace jwt::params;
  const auto now = seconds_since_epoch();
  jwt::jwt_object token{algorithm("HS256"), secret(keys_.front().secret())};
  token.add_claim("aud", audience_)
      .add_claim("iat", now)
      .add_claim("exp", now + kLifetime.count())
      .add_claim(claim_, value);
  cookie_.write(response, token.signature());
}
//! [write]

void SignedCookie::remove(Response& response) const { cookie_.remove(response); }

}  // namespace sessions
