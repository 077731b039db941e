// The Firestore client by itself: documents, queries, transactions.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <asio/co_spawn.hpp>
#include <asio/use_future.hpp>
#include <atomic>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "client_fixture.hpp"
#include "errors.hpp"

namespace sessions::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::SizeIs;

FirestoreFields number(std::int64_t value) {
  FirestoreFields fields;
  fields.set("number", value);
  return fields;
}

TEST_F(Step4Client, ReadsWhatItWrote) {
  const auto time = firestore_time(std::chrono::hours{1});
  FirestoreFields fields;
  fields.set("name", std::string{"Ren\xC3\xA9 \"x\"\n"})
      .set("number", std::int64_t{-9007199254740993})
      .set("time", time);
  write(FirestoreWrite::create("things/a", fields));
  const auto document = wait_for(client_->get("things/a")).value();
  EXPECT_EQ(document.path, "things/a");
  EXPECT_EQ(document.fields.string("name"), "Ren\xC3\xA9 \"x\"\n");
  EXPECT_EQ(document.fields.integer("number"), -9007199254740993);
  EXPECT_EQ(document.fields.timestamp("time"), time);
  EXPECT_EQ(document.fields.integer("name"), std::nullopt);
  EXPECT_EQ(document.fields.string("nothing"), std::nullopt);
  EXPECT_FALSE(wait_for(client_->get("things/b")));
}

TEST_F(Step4Client, CreateRefusesADocumentThatIsThere) {
  write(FirestoreWrite::create("things/a", number(1)));
  EXPECT_EQ(refusal([&] { write(FirestoreWrite::create("things/a", number(2))); }),
            "ALREADY_EXISTS");
  EXPECT_EQ(wait_for(client_->get("things/a"))->fields.integer("number"), 1);
}

TEST_F(Step4Client, UpdateRefusesADocumentThatIsGone) {
  EXPECT_EQ(refusal([&] { write(FirestoreWrite::update("things/a", number(2))); }), "NOT_FOUND");
  EXPECT_FALSE(wait_for(client_->get("things/a")));
}

TEST_F(Step4Client, AWriteThatDependsOnWhatWasReadIsRefusedIfThatHasChanged) {
  write(FirestoreWrite::create("things/a", number(1)));
  const auto read = wait_for(client_->get("things/a")).value();
  write(FirestoreWrite::update("things/a", number(2)));
  EXPECT_EQ(refusal([&] { write(FirestoreWrite::remove("things/a").if_unchanged(read)); }),
            "FAILED_PRECONDITION");
  const auto again = wait_for(client_->get("things/a")).value();
  write(FirestoreWrite::remove("things/a").if_unchanged(again));
  EXPECT_FALSE(wait_for(client_->get("things/a")));
}

TEST_F(Step4Client, AWriteWhoseAnswerWasLostIsNotTakenForSomebodyElses) {
  proxy_->fail("commit", 1, Fault::lose_answer(503, "UNAVAILABLE"));
  write(FirestoreWrite::create("things/a", number(1)));
  EXPECT_EQ(wait_for(client_->get("things/a"))->fields.integer("number"), 1);
}

TEST_F(Step4Client, FindsDocumentsByAField) {
  for (const std::int64_t value : {5, 1, 3, 2, 4}) {
    write(FirestoreWrite::create("things/n" + std::to_string(value), number(value)));
  }
  FirestoreQuery query{.collection = "things",
                       .field = "number",
                       .comparison = "LESS_THAN_OR_EQUAL",
                       .value = std::int64_t{4},
                       .limit = 3};
  std::vector<std::string> paths;
  for (const auto& document : wait_for(client_->run_query(query))) {
    paths.push_back(document.path);
    EXPECT_FALSE(document.update_time.empty());
  }
  EXPECT_THAT(paths, ElementsAre("things/n1", "things/n2", "things/n3"));
  query.comparison = "EQUAL";
  query.value = std::int64_t{9};
  EXPECT_THAT(wait_for(client_->run_query(query)), IsEmpty());
}

TEST_F(Step4Client, AnExceptionInATransactionComesOutAndNothingIsWritten) {
  write(FirestoreWrite::create("things/a", number(1)));
  const auto call = [&] {
    wait_for(client_->run_transaction(
        "a", [](FirestoreTransaction& transaction) -> asio::awaitable<int> {
          co_await transaction.get("things/a");
          transaction.write(FirestoreWrite::update("things/a", number(2)));
          throw std::out_of_range{"on purpose"};
        }));
  };
  EXPECT_THROW(call(), std::out_of_range);
  EXPECT_THAT(proxy_->calls("commit"), SizeIs(1));
}

/// Copies things/a to things/b while somebody else changes things/a between the first read and the
/// commit.
class Step4Reads : public Step4Client {
 protected:
  void copy_while(const std::function<void()>& change) {
    int attempts = 0;
    const auto copy = [&](FirestoreTransaction& transaction) -> asio::awaitable<int> {
      const auto read = co_await transaction.get("things/a");
      ++attempts;
      if (attempts == 1) {
        change();
      }
      const auto value = read ? read->fields.integer("number").value() : 0;
      transaction.write(FirestoreWrite::create("things/b", number(value)));
      co_return attempts;
    };
    EXPECT_EQ(wait_for(client_->run_transaction("a", copy)), 2);
  }
  void change_to(int value) {
    project_->write("things/a", {{"number", {{"integerValue", std::to_string(value)}}}});
  }
  std::int64_t copied() {
    return wait_for(client_->get("things/b"))->fields.integer("number").value();
  }
};

TEST_F(Step4Reads, WhatWasReadAndIsNotWrittenMustNotHaveChanged) {
  change_to(1);
  copy_while([&] { change_to(7); });
  EXPECT_EQ(copied(), 7);
}

TEST_F(Step4Reads, WhatWasNotThereMustNotHaveAppeared) {
  copy_while([&] { change_to(7); });
  EXPECT_EQ(copied(), 7);
}

TEST_F(Step4Reads, WhatWasReadMustNotHaveGone) {
  change_to(1);
  copy_while([&] { project_->remove("things/a"); });
  EXPECT_EQ(copied(), 0);
}

TEST_F(Step4Client, ATransactionThatReadsOneDocumentAndWritesNothingIsOneCall) {
  EXPECT_FALSE(wait_for(client_->run_transaction(
      "a", [](FirestoreTransaction& transaction) { return transaction.get("things/a"); })));
  EXPECT_THAT(proxy_->calls("batchGet"), SizeIs(1));
  EXPECT_THAT(proxy_->calls("commit"), IsEmpty());
}

TEST_F(Step4Client, UpdatingWhatWasFoundMissingIsAMistake) {
  const auto call = [&] {
    wait_for(client_->run_transaction(
        "a", [](FirestoreTransaction& transaction) -> asio::awaitable<bool> {
          co_await transaction.get("things/a");
          transaction.write(FirestoreWrite::update("things/a", number(1)));
          co_return true;
        }));
  };
  EXPECT_THROW(call(), std::logic_error);
  EXPECT_FALSE(wait_for(client_->get("things/a")));
}

TEST_F(Step4Client, APlainWriteThatIsAbortedIsSentAgain) {
  proxy_->fail("commit", 1, Fault::refuse(409, "ABORTED"), 2);
  write(FirestoreWrite::create("things/a", number(1)));
  EXPECT_EQ(wait_for(client_->get("things/a"))->fields.integer("number"), 1);
}

/// What the caller is told after nobody answered.
std::string complaint(FirestoreClient& client, EventLoop& event_loop) {
  try {
    std::vector<FirestoreWrite> writes{FirestoreWrite::create("things/a", number(1))};
    event_loop.wait_for(client.commit(std::move(writes)));
  } catch (const ServiceUnavailable& error) {
    return error.what();
  }
  return "none";
}

TEST_F(Step4Client, OnlyAWriteThatWasSentMayHaveBeenApplied) {
  proxy_->fail("commit", 1, Fault::hang_up(false), 1000);
  EXPECT_THAT(complaint(*client_, event_loop_), HasSubstr("unknown whether"));
  client_.emplace(event_loop_, FirestoreDatabase{"http://127.0.0.1:1", project_->id()});
  EXPECT_THAT(complaint(*client_, event_loop_), Not(HasSubstr("unknown whether")));
  client_.emplace(event_loop_,
                  FirestoreDatabase{proxy_->url(), project_->id(), metadata_server("127.0.0.1:1")});
  EXPECT_THAT(complaint(*client_, event_loop_), Not(HasSubstr("unknown whether")));
}

TEST_F(Step4Client, CallsThatAreUnderWayFailWhenTheClientIsDestroyed) {
  proxy_->fail("batchGet", 1, Fault::delay(seconds{2}));
  auto waiting = asio::co_spawn(event_loop_.context(), client_->get("things/a"), asio::use_future);
  ASSERT_TRUE(wait_until([&] { return proxy_->calls("batchGet").size() == 1; }));
  client_.reset();
  EXPECT_THROW(waiting.get(), ServiceUnavailable);
}

TEST_F(Step4Client, TransactionsOfOneKeyRunInTurnAndThoseOfOthersBesideThem) {
  std::atomic<int> inside = 0;
  std::atomic<int> most_inside = 0;
  const auto increment = [&](FirestoreTransaction& transaction) -> asio::awaitable<std::int64_t> {
    most_inside = std::max<int>(most_inside, ++inside);
    const auto before = (co_await transaction.get("things/a"))->fields.integer("number").value();
    transaction.write(FirestoreWrite::update("things/a", number(before + 1)));
    --inside;
    co_return before + 1;
  };
  write(FirestoreWrite::create("things/a", number(0)));
  std::vector<std::future<std::int64_t>> calls;
  for (int repetition = 0; repetition < 10; ++repetition) {
    calls.push_back(asio::co_spawn(event_loop_.context(), client_->run_transaction("a", increment),
                                   asio::use_future));
  }
  for (auto& call : calls) {
    call.get();
  }
  EXPECT_EQ(most_inside, 1);
  EXPECT_EQ(wait_for(client_->get("things/a"))->fields.integer("number"), 10);
}

}  // namespace
}  // namespace sessions::test
