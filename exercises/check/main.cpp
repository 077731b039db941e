// Runs the scenarios of one exercise's check. Results go to the file CHECK_RESULTS, one line of
// JSON for a scenario that begins and one for its end; without that, GoogleTest prints them.

#include <gtest/gtest.h>

#include <cstdlib>

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (std::getenv("CHECK_RESULTS") != nullptr) {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
  }
  return RUN_ALL_TESTS();
}
