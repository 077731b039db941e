#include "settings.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <iostream>
#include <stdexcept>
#include <thread>

#include "errors.hpp"

namespace sessions {
namespace {

/// Throws SettingError, which names `setting`.
std::int64_t whole_number_within(std::int64_t minimum, std::int64_t maximum,
                                 std::string_view setting, std::string_view text) {
  std::int64_t number = 0;
  const auto* end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  if (result.ec != std::errc{} || result.ptr != end || number < minimum || number > maximum) {
    throw SettingError{setting,
                       fmt::format("must be a whole number from {} to {}", minimum, maximum)};
  }
  return number;
}

std::string environment_help(const StepDescription& step) {
  std::string help = "Environment variables:\n";
  for (const auto& variable : step.variables) {
    const auto shown =
        variable.default_value.empty() ? "" : fmt::format(" (default: {})", variable.default_value);
    help += fmt::format("  {:<26}{}{}\n", variable.name, variable.help, shown);
  }
  return help;
}

}  // namespace

Settings::Settings(const StepDescription& step, int argc, const char* const* argv)
    : step_name_{step.name} {
  // Texts, because CLI11 does not check what comes from the environment in all of its versions.
  auto port = std::to_string(step.default_port);
  auto threads = std::to_string(std::clamp(std::thread::hardware_concurrency(), 1U, 255U));
  CLI::App command_line{step.summary, step.name};
  command_line.add_option("--host", host_, "address to listen on")
      ->envname("HOST")
      ->capture_default_str();
  command_line.add_option("--port", port, "port to listen on, 0 picks a free one")
      ->envname("PORT")
      ->type_name("0..65535")
      ->capture_default_str();
  command_line.add_option("--threads", threads, "HTTP worker threads")
      ->envname("THREADS")
      ->type_name("1..255")
      ->capture_default_str();
  command_line
      .add_flag("--quiet", quiet_, "no access log, else a line per request on standard error")
      ->envname("QUIET");
  if (step.has_store) {
    command_line.add_flag("--check", check_,
                          "test the connection to the store and exit with 0 or 1");
  }
  command_line.set_version_flag("--version", fmt::format("{} {}", step.name, SESSIONS_VERSION));
  command_line.footer(environment_help(step));
  try {
    command_line.parse(argc, argv);
  } catch (const CLI::Success& help_or_version) {
    command_line.exit(help_or_version);
    std::cout << std::flush;
    if (!std::cout) {
      throw std::runtime_error{"cannot write to standard output"};
    }
    throw OnlyHelp{};
  } catch (const CLI::ParseError& error) {
    throw SettingError{fmt::format("{}. --help lists all settings", error.what())};
  }
  if (host_ == "*") {
    throw SettingError{"--host (HOST)", "must be an address or a name. 0.0.0.0 is every address"};
  }
  port_ = static_cast<std::uint16_t>(whole_number_within(0, 65535, "--port (PORT)", port));
  threads_ = static_cast<int>(whole_number_within(1, 255, "--threads (THREADS)", threads));
  for (const auto& variable : step.variables) {
    const char* value = std::getenv(std::string{variable.name}.c_str());
    const bool is_set = value != nullptr && *value != '\0';
    environment_[variable.name] = is_set ? value : std::string{variable.default_value};
  }
}

const std::string& Settings::operator[](const EnvironmentVariable& variable) const {
  return environment_.at(variable.name);
}

std::int64_t Settings::whole_number(const EnvironmentVariable& variable, std::int64_t minimum,
                                    std::int64_t maximum) const {
  return whole_number_within(minimum, maximum, variable.name, (*this)[variable]);
}

}  // namespace sessions
