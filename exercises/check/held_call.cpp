#include "held_call.hpp"

#include <utility>

namespace sessions::exercise {

test::Fault HeldCall::answer() {
  return {true, [](test::StandInAnswer answer) { return answer; }};
}

HeldCall::HeldCall(test::FirestoreFaultProxy& proxy, const std::string& call, test::Fault then,
                   int number) {
  const auto change = [state = state_, then = std::move(then.change)](test::StandInAnswer answer) {
    state->come.set_value();
    state->let_go.get_future().wait_for(test::seconds{4});
    return then(std::move(answer));
  };
  proxy.fail(call, number, {then.reaches_firestore, change});
}

bool HeldCall::has_come(test::milliseconds patience) const {
  return come_.wait_for(patience) == std::future_status::ready;
}

void HeldCall::let_go() {
  if (std::exchange(is_held_, false)) {
    state_->let_go.set_value();
  }
}

}  // namespace sessions::exercise
