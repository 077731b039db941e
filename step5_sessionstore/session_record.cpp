#include "session_record.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <stdexcept>
#include <utility>

namespace sessions {

bool is_field_name(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_";
  return name.find_first_of(kLetters) == 0 &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

void require_changeable(std::string_view name) {
  if (!is_field_name(name) || name == kUsername) {
    throw std::invalid_argument{
        "the name of a session's field must be lower_snake_case, and username does not change"};
  }
}

std::optional<std::int64_t> sum(std::string_view text, std::int64_t increment) {
  std::int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  if (std::to_string(number) != text || __builtin_add_overflow(number, increment, &number)) {
    return std::nullopt;
  }
  return number;
}

SessionList listed(std::vector<SessionSummary> sessions) {
  const auto count = sessions.size();
  std::ranges::sort(sessions, std::greater{}, &SessionSummary::last_seen);
  const auto shown = static_cast<std::ptrdiff_t>(std::min(count, SessionList::kMaxNewest));
  sessions.erase(sessions.begin() + shown, sessions.end());
  return {count, std::move(sessions)};
}

void log_corrupt_record(const SessionToken& token, std::string_view problem) {
  spdlog::error("The record of session {} makes no sense and is taken for no session: {}",
                token.abbreviated(), problem);
}

}  // namespace sessions
