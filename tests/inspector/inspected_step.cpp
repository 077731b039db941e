#include "inspected_step.hpp"

#include <csignal>

namespace sessions::test {

InspectedStep::InspectedStep(const std::string& step, const std::string& store_variable,
                             Environment server, Environment inspector)
    : visitors_port_{free_port()}, store_port_{free_port()}, environment_{std::move(inspector)} {
  const auto store = "127.0.0.1:" + std::to_string(store_port_);
  if (!store_variable.empty()) {
    server[store_variable] =
        store_variable == "FIRESTORE_EMULATOR_HOST" ? store : "redis://" + store;
  }
  server_ = std::make_unique<ServerProcess>(step, server);
  environment_["INSPECT_URL"] = server_->url();
  environment_["INSPECT_PORT"] = std::to_string(visitors_port_);
  environment_["INSPECT_STORE_PORT"] = std::to_string(store_port_);
  start_inspector();
}

void InspectedStep::kill_inspector() {
  inspector_->expect_any_end();
  inspector_->process().signal(SIGKILL);
  inspector_->process().wait_for_exit();
}

void InspectedStep::start_inspector() {
  inspector_ = std::make_unique<ServerProcess>("inspector", environment_);
}

nlohmann::json InspectedStep::ask(const std::string& path, const Headers& headers) const {
  return nlohmann::json::parse(HttpClient{inspector_->url()}.get(path, headers).body);
}

nlohmann::json InspectedStep::post(const std::string& path, const nlohmann::json& body) const {
  const auto response =
      HttpClient{inspector_->url()}.post(path, body.dump(), {{"Content-Type", "application/json"}});
  return {{"status", response.status},
          {"body", nlohmann::json::parse(response.body, nullptr, false)}};
}

}  // namespace sessions::test
