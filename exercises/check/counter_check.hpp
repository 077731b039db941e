// What the checks of exercises on step 3 share: a counter in Redis that expires.
#pragma once

#include <string>
#include <string_view>

#include "exercise_check.hpp"

namespace sessions::exercise {

/// A scenario on a server of step 3.
class CounterCheck : public ExerciseCheck {
 protected:
  using ExerciseCheck::ExerciseCheck;

  /// Milliseconds until the user's counter expires; -1 if never, -2 if there is none.
  int remaining(const std::string& name);
  /// The same for a report, to ten seconds.
  static std::string in_words(int milliseconds);

  /// Whatever the server sends for a visit, it dies after the first, the second, the third of its
  /// commands. Expects that no counter is left for ever; else it is known as the one wrong way if
  /// the first command has left it, as the other if a later one has.
  void expect_no_counter_for_ever(const std::string& user_prefix, test::Environment environment,
                                  std::string_view wrong_after_first,
                                  std::string_view wrong_after_later);
};

}  // namespace sessions::exercise
