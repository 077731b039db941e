"""What `./tutorial test` prints, shown with a small project of its own in place of the suite's."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

from tests.report import reason_of

ROOT = pathlib.Path(__file__).resolve().parents[2]

PROJECT = """\
cmake_minimum_required(VERSION 3.25)
project(small LANGUAGES NONE)
enable_testing()
add_custom_target(test_step1_one)
add_test(NAME One.Passes COMMAND ${CMAKE_COMMAND} -E true)
add_test(NAME One.Fails COMMAND ${CMAKE_COMMAND} -E @failing@)
add_test(NAME Two.IsSkipped COMMAND ${CMAKE_COMMAND} -E echo "x.cpp:1: Skipped\\nthe emulator is not installed")
add_test(NAME Two.IsNotForReaders COMMAND ${CMAKE_COMMAND} -E false)
add_test([[Stores/One.Stays/Redis  # GetParam() = Redis]] ${CMAKE_COMMAND} -E true)
set_tests_properties(One.Passes One.Fails [[Stores/One.Stays/Redis  # GetParam() = Redis]] PROPERTIES LABELS step1_one)
set_tests_properties(Two.IsSkipped PROPERTIES LABELS "redis;step2_two" SKIP_REGULAR_EXPRESSION "Skipped")
set_tests_properties(Two.IsNotForReaders PROPERTIES LABELS "step2_two;contributor")
"""
PRESETS = """{"version": 6, "configurePresets": [
  {"name": "tutorial", "generator": "Ninja", "binaryDir": "${sourceDir}/build/${presetName}"}]}"""


class Report(unittest.TestCase):
    def report(self, *arguments, failing="true", **variables):
        """What it prints and the exit status."""
        files = tempfile.TemporaryDirectory()
        self.addCleanup(files.cleanup)
        root = pathlib.Path(files.name)
        (root / "tests").mkdir()
        for name in ("report.py", "run.ctest.cmake"):
            (root / "tests" / name).write_bytes((ROOT / "tests" / name).read_bytes())
        (root / "CMakeLists.txt").write_text(PROJECT.replace("@failing@", failing))
        (root / "CMakePresets.json").write_text(PRESETS)
        environment = {name: value for name, value in os.environ.items() if name != "CI"} | variables
        subprocess.run(["cmake", "--preset", "tutorial"], cwd=root, check=True, capture_output=True)
        answer = subprocess.run([sys.executable, "-m", "tests.report", "tutorial", *arguments], cwd=root, env=environment,
                                capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(answer.stderr, "")
        return answer.stdout, answer.returncode

    def test_success_is_a_line_per_group_and_a_summary(self):
        text, status = self.report()
        self.assertEqual(status, 0, text)
        self.assertRegex(text, r"(?m)^step1_one +3 passed$")
        self.assertRegex(text, r"(?m)^step2_two +1 skipped$")
        self.assertIn("Skipped: 1 test: the emulator is not installed\n", text)
        self.assertTrue(text.endswith("100% tests passed, 0 tests failed out of 3\n"), text)
        self.assertLessEqual(len(text.splitlines()), 5)

    def test_the_reason_of_a_skip_is_found_whoever_skips(self):
        for output in ("x.cpp:1: Skipped\nno nginx\n\n[  SKIPPED ] Suite.Test",
                       "setUpModule (tests.browser.test_browser) ... skipped 'no nginx'\n\nOK (skipped=1)",
                       "skipped: no nginx\n"):
            self.assertEqual(reason_of(output), "no nginx")
        self.assertEqual(reason_of("nothing"), "no reason given")

    def test_a_failure_is_shown_with_its_output(self):
        text, status = self.report(failing="cat nowhere")
        self.assertEqual(status, 1)
        self.assertIn("--- One.Fails ---", text)
        self.assertIn("nowhere", text)
        self.assertIn("66% tests passed, 1 tests failed out of 3\n", text)

    def test_a_long_output_is_shown_as_it_is(self):
        text, _ = self.report(failing="cat " + "nowhere/" * 100)
        self.assertIn("nowhere/nowhere/", text)

    def test_a_skip_fails_in_ci(self):
        text, status = self.report(CI="true")
        self.assertEqual(status, 1, text)

    def test_a_second_try_in_ci_is_named(self):
        text, _ = self.report(failing='env sh -c "mkdir first && exit 1 || true"', CI="true")
        self.assertIn("Passed at the second try only: One.Fails\n", text)
        self.assertIn("100% tests passed, 0 tests failed out of 3\n", text)

    def test_a_step_and_a_label_select(self):
        text, status = self.report("--step", "step1_one")
        self.assertEqual(status, 0, text)
        self.assertIn("out of 3\n", text)
        text, status = self.report("--label", "contributor")
        self.assertEqual(status, 1)
        self.assertIn("Two.IsNotForReaders", text)
        self.assertIn("out of 1\n", text)


if __name__ == "__main__":
    unittest.main()
