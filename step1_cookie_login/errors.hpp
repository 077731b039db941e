// The failures that have an answer of their own. Any other exception is answered with 500.
#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace sessions {

/// A setting that cannot be used. The program prints one line that names it and exits with 2.
class SettingError : public std::runtime_error {
 public:
  /// `message` names the setting itself.
  explicit SettingError(const std::string& message) : std::runtime_error{message} {}
  /// `setting` is the name the reader can change, `problem` what is wrong and what to try.
  SettingError(std::string_view setting, std::string_view problem)
      : std::runtime_error{std::string{setting} + ": " + std::string{problem}} {}
};

/// A request that is refused. `status` is an HTTP status code from 400 to 499; `what()` is one
/// plain sentence that is shown to whoever sent the request.
class HttpError : public std::runtime_error {
 public:
  HttpError(int status, const std::string& sentence)
      : std::runtime_error{sentence}, status_{status} {}

  int status() const noexcept { return status_; }

 private:
  int status_;
};

/// A store that a page needs cannot be reached or is failing: 503 with Retry-After (RFC 9110,
/// section 15.6.4). `what()` goes to the log, never to the page.
class ServiceUnavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The client of a store is being destroyed, because the program ends.
class ClientStopped : public ServiceUnavailable {
 public:
  ClientStopped() : ServiceUnavailable{"the client was stopped"} {}
};

}  // namespace sessions
