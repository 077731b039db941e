#include "session.hpp"

#include <utility>

namespace sessions {

asio::awaitable<std::optional<std::string>> Session::get(std::string field) {
  if (token_) {
    fields_ = (co_await store_.read(*token_)).value_or(SessionFields{});
  }
  const auto found = fields_.find(field);
  co_return found == fields_.end() ? std::nullopt : std::optional{found->second};
}

asio::awaitable<bool> Session::set(std::string field, std::string value) {
  if (token_) {
    fields_ = (co_await store_.set(*token_, std::move(field), std::move(value)))
                  .value_or(SessionFields{});
  }
  co_return !fields_.empty();
}

asio::awaitable<std::optional<std::int64_t>> Session::increment(std::string field,
                                                                std::int64_t by) {
  if (token_) {
    fields_ = (co_await store_.increment(*token_, field, by)).value_or(SessionFields{});
  }
  co_return fields_.empty() ? std::nullopt : std::optional{std::stoll(fields_.at(field))};
}

std::string Session::operator[](std::string_view field) const {
  const auto found = fields_.find(field);
  return found == fields_.end() ? std::string{} : found->second;
}

//! [log_in]
asio::awaitable<void> Session::log_in(std::string username) {
  // In this order a failure leaves the visitor logged in as before. The new session, whose token
  // nobody has learned, expires.
  const auto old_token = std::exchange(token_, co_await store_.create(std::move(username)));
  if (old_token) {
    co_await store_.destroy(*old_token);
  }
}
//! [log_in]

asio::awaitable<void> Session::log_out() {
  if (token_) {
    co_await store_.destroy(*token_);
  }
}

}  // namespace sessions
