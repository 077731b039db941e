// A call to Firestore that is slow.
#pragma once

#include <future>
#include <memory>
#include <string>

#include "firestore_fault_proxy.hpp"

namespace sessions::exercise {

/// Holds one of the next calls of a name that pass a proxy: what becomes of it, an answer or a
/// refusal, reaches the server only when it is let go, or after four seconds.
class HeldCall {
 public:
  /// Firestore carries out the call at once, and its answer is held.
  static test::Fault answer();

  /// `number` counts the calls from 1.
  HeldCall(test::FirestoreFaultProxy& proxy, const std::string& call, test::Fault then = answer(),
           int number = 1);
  ~HeldCall() { let_go(); }
  HeldCall(const HeldCall&) = delete;
  HeldCall& operator=(const HeldCall&) = delete;

  /// Waits for the call. False if it does not come in time.
  bool has_come(test::milliseconds patience = test::seconds{10}) const;
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
