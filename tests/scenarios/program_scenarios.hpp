// How every step's program behaves towards whoever starts and stops it.
#pragma once

#include <span>

#include "step_test.hpp"

namespace sessions::test {

class ProgramScenarios : public StepTest {
 public:
  static std::span<const Scenario<ProgramScenarios>> all();

 protected:
  using StepTest::StepTest;

  /// The names of the step's own environment variables, beside those that all steps have.
  virtual std::vector<std::string> variables() const = 0;

 private:
  void help_lists_every_setting();
  void version_is_shown();
  void announces_real_port();
  void environment_sets_host_and_threads();
  void listens_on_ipv6();
  void refuses_wrong_settings_in_one_line();
  void refuses_blanks_around_keys();
  void fails_if_its_words_cannot_be_written();
  void refuses_secret_key_on_command_line();
  void second_server_on_same_port_is_refused();
  void sigterm_ends_with_zero();
  void sigint_ends_with_zero();
  void stops_in_spite_of_idle_and_half_sent_requests();
  void logs_hold_no_secrets();

  void expect_refusal(const Finished& finished, const std::string& setting) const;
};

}  // namespace sessions::test
