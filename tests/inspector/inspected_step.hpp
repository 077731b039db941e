// A step with the inspector before it and before its store.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "http_client.hpp"
#include "server_process.hpp"

namespace sessions::test {

/// Starts `step` and the inspector. The server gets its store's address in the variable
/// `store_variable`; the inspector gets the real one in `inspector`, as INSPECT_REDIS or
/// INSPECT_FIRESTORE. Both get a SECRET_KEY.
class InspectedStep {
 public:
  InspectedStep(const std::string& step, const std::string& store_variable, Environment server,
                Environment inspector);

  ServerProcess& server() { return *server_; }
  ServerProcess& inspector() { return *inspector_; }
  /// Ends the inspector without a chance to clean up, and starts another one on the same ports.
  void kill_inspector();
  void start_inspector();

  /// Where visitors go.
  std::string visitors_url() const { return "http://127.0.0.1:" + std::to_string(visitors_port_); }
  /// The answer of the inspector's own address, as JSON.
  nlohmann::json ask(const std::string& path, const Headers& headers = {}) const;
  nlohmann::json post(const std::string& path, const nlohmann::json& body) const;
  /// All that has been recorded, once `condition` holds for it. Fails the test if it never does.
  template <typename Condition>
  nlohmann::json events_when(Condition condition) const {
    nlohmann::json events;
    EXPECT_TRUE(wait_until([&] { return condition(events = ask("/events")); })) << events.dump(1);
    return events;
  }

 private:
  int visitors_port_;
  int store_port_;
  Environment environment_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<ServerProcess> inspector_;
};

}  // namespace sessions::test
