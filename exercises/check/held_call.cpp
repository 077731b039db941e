#include "held_call.hpp"

#include <utility>

namespace sessions::exercise {

HeldCall::HeldCall(test::FirestoreFaultProxy& proxy, const std::string& call, test::Fault then) {
  const auto change = [state = state_, then = std::move(then.change)](test::StandInAnswer answer) {
    state->come.set_value();
    state->let_go.get_future().wait_for(test::seconds{4});
    return then(std::move(answer));
  };
  proxy.fail(call, 1, {then.reaches_firestore, change});
}

bool HeldCall::has_come() const {
  return come_.wait_for(test::seconds{10}) == std::future_status::ready;
}

void HeldCall::let_go() {
  if (std::exchange(is_held_, false)) {
    state_->let_go.set_value();
  }
}

}  // namespace sessions::exercise
