// What the checks of attacks stand on.
#pragma once

#include <mutex>
#include <string>
#include <vector>

#include "exercise_check.hpp"
#include "http_stand_in.hpp"

namespace sessions::exercise {

/// Stands between an exploit and a server, sees what passes, and lets nobody log in.
class Gate {
 public:
  explicit Gate(std::string server_url);

  std::string url() const { return entrance_.url(); }
  /// The requests so far, such as "GET /".
  std::vector<std::string> requests() const;
  /// Whether an answer that passed contained `text`.
  bool has_shown(std::string_view text) const;
  /// Whether somebody has tried to log in here.
  bool was_asked_to_log_in() const;

 private:
  test::StandInAnswer answer(const test::StandInRequest& request);

  std::string server_url_;
  mutable std::mutex mutex_;
  std::vector<std::string> requests_;
  std::vector<std::string> answers_;
  bool was_asked_to_log_in_ = false;
  test::HttpStandIn entrance_;
};

/// What an exploit printed and how it ended.
struct ExploitResult {
  std::string output;
  std::string error;
  std::optional<int> exit_code;  ///< nothing if it did not end within 20 seconds
};

/// Runs the program under check with these arguments.
ExploitResult run_exploit(Journal& journal, const std::vector<std::string>& arguments);

/// What an exploit printed, for a report; of a page, what is in its body.
std::string printed(const ExploitResult& result);

}  // namespace sessions::exercise
