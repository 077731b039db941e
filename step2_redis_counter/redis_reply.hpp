// What Redis answers.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace sessions {

/// Redis understood the command and refused it. `what()` is the server's text.
class RedisError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;

  /// Its first word, such as WRONGTYPE.
  std::string_view code() const {
    const std::string_view text = what();
    return text.substr(0, text.find(' '));
  }
};

/// What Redis answered: nothing (nil), a whole number, a string, a list of replies, or an error.
class RedisReply {
 public:
  using List = std::vector<RedisReply>;
  using Value = std::variant<std::monostate, std::int64_t, std::string, List, RedisError>;

  RedisReply() = default;
  explicit RedisReply(Value value) : value_{std::move(value)} {}

  bool is_nil() const { return std::holds_alternative<std::monostate>(value_); }
  /// Null if Redis did what it was told.
  const RedisError* error() const { return std::get_if<RedisError>(&value_); }
  /// Each throws std::bad_variant_access if the reply is of another type.
  std::int64_t integer() const { return std::get<std::int64_t>(value_); }
  const std::string& string() const { return std::get<std::string>(value_); }
  const List& list() const { return std::get<List>(value_); }
  List& list() { return std::get<List>(value_); }

 private:
  Value value_;
};

}  // namespace sessions
