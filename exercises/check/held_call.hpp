// A call to Firestore that is slow.
#pragma once

#include <future>
#include <memory>
#include <string>

#include "firestore_fault_proxy.hpp"

namespace sessions::exercise {

/// Holds the next call of a name that passes a proxy: what happens to it then, an answer or a
/// refusal, reaches the server only when it is let go, or after four seconds.
class HeldCall {
 public:
  /// By default Firestore carries out the call at once, and its answer is held.
  HeldCall(test::FirestoreFaultProxy& proxy, const std::string& call,
           test::Fault then = {true, [](test::StandInAnswer answer) { return answer; }});
  ~HeldCall() { let_go(); }
  HeldCall(const HeldCall&) = delete;
  HeldCall& operator=(const HeldCall&) = delete;

  /// Waits for the call. False if it does not come.
  bool has_come() const;
  void let_go();

 private:
  struct State {
    std::promise<void> come;
    std::promise<void> let_go;
  };

  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::shared_future<void> come_ = state_->come.get_future().share();
  bool is_held_ = true;
};

}  // namespace sessions::exercise
