#include "attack.hpp"

#include <fmt/format.h>

namespace sessions::exercise {

Gate::Gate(std::string server_url)
    : server_url_{std::move(server_url)}, entrance_{[this](const test::StandInRequest& request) {
        return answer(request);
      }} {}

std::vector<std::string> Gate::requests() const {
  const std::lock_guard lock{mutex_};
  return requests_;
}

bool Gate::has_shown(std::string_view text) const {
  const std::lock_guard lock{mutex_};
  return std::ranges::any_of(
      answers_, [&](const auto& answer) { return answer.find(text) != std::string::npos; });
}

bool Gate::was_asked_to_log_in() const {
  const std::lock_guard lock{mutex_};
  return was_asked_to_log_in_;
}

test::StandInAnswer Gate::answer(const test::StandInRequest& request) {
  const bool logs_in = request.method != "GET" || request.path.starts_with("/login");
  {
    const std::lock_guard lock{mutex_};
    requests_.push_back(request.method + " " + request.path);
    was_asked_to_log_in_ = was_asked_to_log_in_ || logs_in;
  }
  if (logs_in) {
    return {403, "Nobody logs in here.\n", test::StandInAnswer::Ending::kComplete};
  }
  test::Headers headers;
  if (const auto cookie = request.header("Cookie"); !cookie.empty()) {
    headers.emplace_back("Cookie", cookie);
  }
  try {
    const auto response = test::HttpClient{server_url_}.get(request.path, headers);
    const std::lock_guard lock{mutex_};
    answers_.push_back(response.body);
    return {response.status, response.body, test::StandInAnswer::Ending::kComplete};
  } catch (const std::runtime_error& error) {
    return {502, error.what(), test::StandInAnswer::Ending::kComplete};
  }
}

ExploitResult run_exploit(Journal& journal, const std::vector<std::string>& arguments) {
  auto command = command_of("PROGRAM");
  command.insert(command.end(), arguments.begin(), arguments.end());
  journal.sent("exploit " + fmt::format("{}", fmt::join(arguments, " ")));
  RunningProgram exploit{command, {}};
  const auto code = exploit.wait_for_exit(test::seconds{20});
  return {exploit.standard_output(), exploit.standard_error(), code};
}

std::string printed(const ExploitResult& result) {
  if (!result.exit_code) {
    return "no end within 20 seconds";
  }
  const auto text = page_text(result.output) + result.error;
  return text.empty() ? "nothing was printed" : text;
}

}  // namespace sessions::exercise
