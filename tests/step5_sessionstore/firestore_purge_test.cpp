// What happens to Firestore while expired sessions are removed from it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "background_purge.hpp"
#include "behind_fault_proxy.hpp"
#include "errors.hpp"
#include "firestore_session_store.hpp"
#include "store_under_test.hpp"

namespace sessions::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

/// A store whose sessions expire at once.
class Step5FirestorePurge : public BehindFaultProxy {
 protected:
  void prepare() override {
    store_.emplace(event_loop_, FirestoreDatabase{proxy_->url(), project_->id()}, test_keys(),
                   SessionLimits{.idle = seconds{60}, .absolute = milliseconds{1}});
  }

  void create(int sessions) {
    event_loop_.wait_for([](FirestoreSessionStore& store, int count) -> asio::awaitable<void> {
      for (int number = 0; number < count; ++number) {
        co_await store.create(std::to_string(number));
      }
    }(*store_, sessions));
  }
  std::vector<std::string> sessions() { return project_->ids("sessions"); }

  /// Purges, while another server does something between the query and the first deletion.
  void purge(const std::function<void()>& other_server) {
    proxy_->fail("runQuery", 1, Fault{true, [&](StandInAnswer answer) {
                                        other_server();
                                        return answer;
                                      }});
    while (event_loop_.wait_for(store_->purge())) {
    }
  }

  /// The next deletion has this status (google.rpc.Code).
  void answer_with_status(int code) {
    proxy_->fail("batchWrite", 1, Fault::rewrite([code](nlohmann::json answer) {
                   answer.at("status").at(0)["code"] = code;
                   return answer;
                 }));
  }

 private:
  EventLoop event_loop_;
  std::optional<FirestoreSessionStore> store_;
};

TEST_F(Step5FirestorePurge, TakesSessionsThatWereNeverUsed) {
  create(3);
  EXPECT_THAT(sessions(), testing::SizeIs(3));
  purge([] {});
  EXPECT_THAT(sessions(), IsEmpty());
}

TEST_F(Step5FirestorePurge, TakesMoreThanOneQueryFinds) {
  create(501);
  purge([] {});
  EXPECT_THAT(sessions(), IsEmpty());
  EXPECT_THAT(proxy_->calls("batchWrite"), testing::SizeIs(2));
}

TEST_F(Step5FirestorePurge, LeavesASessionThatIsRenewedMeanwhile) {
  create(3);
  const auto renewed = sessions().at(1);
  purge([&] {  // by a server whose clock is behind
    auto fields = project_->fields("sessions/" + renewed).value();
    fields["expireAt"] = {{"timestampValue", "2100-01-01T00:00:00Z"}};
    project_->write("sessions/" + renewed, fields);
  });
  EXPECT_THAT(sessions(), ElementsAre(renewed));
}

TEST_F(Step5FirestorePurge, GoesOnAfterASessionThatIsDestroyedMeanwhile) {
  create(3);
  const auto destroyed = sessions().at(1);
  purge([&] { project_->remove("sessions/" + destroyed); });
  EXPECT_THAT(sessions(), IsEmpty());

  // The emulator calls that FAILED_PRECONDITION. Google's documentation does not say which it is.
  create(1);
  answer_with_status(5);  // NOT_FOUND
  purge([] {});
}

TEST_F(Step5FirestorePurge, ReportsADeletionThatFailsForAnotherReason) {
  create(1);
  answer_with_status(14);  // UNAVAILABLE
  EXPECT_THROW(purge([] {}), ServiceUnavailable);
}

TEST(Step5FirestoreBackgroundPurge, EndsAtOnceWhileFirestoreIsSilent) {
  if (!FirestoreEmulator::is_installed()) {
    return skip_for_lack_of("The Firestore emulator");
  }
  const FirestoreEmulator emulator;
  const FirestoreProject project{emulator};
  const FirestoreFaultProxy proxy{emulator};
  EventLoop event_loop;
  FirestoreSessionStore store{event_loop, FirestoreDatabase{proxy.url(), project.id()}, test_keys(),
                              SessionLimits{.idle = seconds{60}, .absolute = seconds{600}}};
  emulator.freeze();
  std::optional<BackgroundPurge> purge{std::in_place, event_loop, store, milliseconds{1}};
  EXPECT_TRUE(wait_until([&] { return proxy.calls("runQuery").size() == 1; }));
  const auto start = Clock::now();
  purge.reset();
  EXPECT_LT(Clock::now() - start, seconds{4}) << "the call itself would wait for five seconds";
  emulator.thaw();
}

}  // namespace
}  // namespace sessions::test
