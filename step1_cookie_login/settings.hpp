// What can be set from outside: the command line and the environment.
#pragma once

#include <cstdint>
#include <exception>
#include <limits>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace sessions {

/// A setting that is read from the environment only, because it is a secret or has no short form.
struct EnvironmentVariable {
  std::string_view name;
  std::string_view default_value;
  std::string_view help;
};

/// What a step is called and which settings it has.
struct StepDescription {
  std::string name;
  std::string summary;
  std::uint16_t default_port = 5000;
  bool has_store = true;  ///< adds --check
  std::vector<EnvironmentVariable> variables;
};

/// The command line has asked for --help or --version, which has been printed.
class OnlyHelp : public std::exception {};

/// The settings of one run.
class Settings {
 public:
  /// Reads the command line and the environment. Throws SettingError, or OnlyHelp.
  Settings(const StepDescription& step, int argc, const char* const* argv);

  const std::string& step_name() const { return step_name_; }
  const std::string& host() const { return host_; }
  /// 0 lets the system choose a free port.
  std::uint16_t port() const { return port_; }
  /// HTTP worker threads, 1 to 255.
  int threads() const { return threads_; }
  /// True if requests are not to be logged.
  bool quiet() const { return quiet_; }
  /// True if only the connection to the store is to be tested.
  bool check() const { return check_; }

  /// The variable's value, or its default if it is unset or empty.
  const std::string& operator[](const EnvironmentVariable& variable) const;
  /// The same as a whole number. Throws SettingError unless it lies within minimum and maximum.
  std::int64_t whole_number(const EnvironmentVariable& variable, std::int64_t minimum,
                            std::int64_t maximum = std::numeric_limits<std::int32_t>::max()) const;

 private:
  std::string step_name_;
  std::string host_ = "127.0.0.1";
  std::uint16_t port_ = 0;
  int threads_ = 0;
  bool quiet_ = false;
  bool check_ = false;
  std::map<std::string_view, std::string> environment_;
};

}  // namespace sessions
