#include "session_store.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <charconv>
#include <functional>
#include <stdexcept>

namespace sessions {

SessionChange::SessionChange(std::string name,
                             std::variant<std::string, std::int64_t> text_or_number)
    : field{std::move(name)}, value{std::move(text_or_number)} {
  if (!is_field_name(field) || field == kUsername) {
    throw std::invalid_argument{
        "the name of a session's field must be lower_snake_case, and username does not change"};
  }
}

bool is_field_name(std::string_view name) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz";
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789_";
  return name.find_first_of(kLetters) == 0 &&
         name.find_first_not_of(kAllowed) == std::string_view::npos;
}

bool apply(const std::optional<SessionChange>& change, SessionFields& fields,
           const SessionToken& token) {
  if (!change) {
    return true;
  }
  if (const auto* text = std::get_if<std::string>(&change->value)) {
    fields[change->field] = *text;
    return true;
  }
  auto& value = fields.try_emplace(change->field, "0").first->second;
  std::int64_t number = 0;
  std::from_chars(value.data(), value.data() + value.size(), number);
  if (std::to_string(number) != value ||
      __builtin_add_overflow(number, std::get<std::int64_t>(change->value), &number)) {
    log_corrupt_record(token, change->field + " cannot be incremented");
    return false;
  }
  value = std::to_string(number);
  return true;
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
