// Step 5: a SessionStore that hides the store. The same scenarios three times, with nothing changed
// but SESSION_STORE; then what can only happen to one of the stores.

#include "program_scenarios.hpp"
#include "session_scenarios.hpp"

namespace sessions::test {
namespace {

template <StoreKind kKind>
class Step5Over : public SessionScenarios {
 protected:
  Step5Over() : SessionScenarios{kKind} {}
};

using Step5Contract = Step5Over<StoreKind::kMemory>;

class Step5Program : public ProgramScenarios {
 protected:
  Step5Program() : ProgramScenarios{"step5_sessionstore", Store::kNone} {}

  std::vector<std::string> variables() const override {
    return {"SESSION_STORE",
            "SESSION_TTL",
            "SESSION_MAX_AGE",
            "SESSION_MAX_PER_USER",
            "FIRESTORE_EMULATOR_HOST",
            "GOOGLE_CLOUD_PROJECT",
            "--check"};
  }
};

template <StoreKind kKind>
bool register_for(const char* contract, const char* settings) {
  using Fixture = Step5Over<kKind>;
  return register_scenarios<Fixture>(contract, HttpScenarios::all()) &&
         register_scenarios<Fixture>(contract, SessionScenarios::contract()) &&
         register_scenarios<Fixture>(settings, SessionScenarios::settings());
}

[[maybe_unused]] const bool kRegistered =
    register_for<StoreKind::kMemory>("Step5Contract", "Step5Memory") &&
    register_for<StoreKind::kRedis>("Step5ContractOverRedis", "Step5Redis") &&
    register_for<StoreKind::kFirestore>("Step5ContractOverFirestore", "Step5Firestore") &&
    register_scenarios<Step5Program>("Step5Program", ProgramScenarios::all());

}  // namespace
}  // namespace sessions::test
