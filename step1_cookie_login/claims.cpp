#include "claims.hpp"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <jwt/base64.hpp>
#include <nlohmann/json.hpp>
#include <utility>

namespace sessions {
namespace {

/// Takes the claims from the JSON while it is parsed (nlohmann::json_sax): to build a json object
/// that is thrown away would cost half as much again.
class ClaimsReader {
 public:
  explicit ClaimsReader(std::string_view claim) : claim_{claim} {}

  std::optional<Claims> claims() && {
    if (!audience_ || !issued_ || !expires_ || !value_) {
      return std::nullopt;
    }
    return Claims{*std::move(audience_), *issued_, *expires_, *std::move(value_)};
  }

  // Each returns whether to go on.
  bool start_object(std::size_t /*size*/) { return !std::exchange(in_object_, true); }
  bool key(std::string& name) {
    name_ = name;
    return true;
  }
  bool string(std::string& text) {
    if (name_ == "aud") {
      audience_ = text;
    } else if (name_ == claim_) {
      value_ = text;
    }
    return in_object_;
  }
  bool number_unsigned(std::uint64_t number) {
    if (name_ == "iat") {
      issued_ = number;
    } else if (name_ == "exp") {
      expires_ = number;
    }
    return in_object_;
  }
  static bool end_object() { return true; }

  static bool null() { return false; }
  static bool boolean(bool /*value*/) { return false; }
  static bool number_integer(std::int64_t /*number*/) { return false; }
  static bool number_float(double /*number*/, const std::string& /*text*/) { return false; }
  static bool binary(const nlohmann::json::binary_t& /*bytes*/) { return false; }
  static bool start_array(std::size_t /*size*/) { return false; }
  static bool end_array() { return false; }
  static bool parse_error(std::size_t /*position*/, const std::string& /*token*/,
                          const std::exception& /*error*/) {
    return false;
  }

 private:
  std::string_view claim_;
  std::string name_;
  bool in_object_ = false;
  std::optional<std::string> audience_;
  std::optional<std::uint64_t> issued_;
  std::optional<std::uint64_t> expires_;
  std::optional<std::string> value_;
};

bool is_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](unsigned char byte) { return byte < 0x80; });
}

}  // namespace

std::optional<Claims> parse_claims(std::string_view base64url, std::string_view claim) {
  if (!is_ascii(base64url)) {
    return std::nullopt;  // cpp-jwt would read beyond its table
  }
  ClaimsReader reader{claim};
  const auto json = jwt::base64_uri_decode(base64url.data(), base64url.size());
  return nlohmann::json::sax_parse(json, &reader) ? std::move(reader).claims() : std::nullopt;
}

}  // namespace sessions
