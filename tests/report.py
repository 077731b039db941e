"""Runs tests/run.ctest.cmake and prints what a person wants to know of it: one line per group of tests, what failed with its
output, and what was skipped and why. `./tutorial test` calls this.

Usage: python3 -m tests.report PRESET [--step STEP] [--label LABEL]
"""

import argparse
import collections
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
# GoogleTest's parameterized tests bear their parameter in their name.
_NAME = r"(?P<name>\S+(?: +# GetParam\(\) = \S+)?)"
_FINISHED = re.compile(
    rf"^ *(?P<number>\d+)/(?P<total>\d+) +Test +#\d+: {_NAME} [. ]*(?P<result>Passed|\*\*\*[A-Z][a-z]+(?: Run)?)")
# With CI set each test that fails has a second try, whose line bears no number.
_PASSED_AT_LAST = re.compile(rf"^ *Test +#\d+: {_NAME} [. ]*Passed")
_SECONDS_BETWEEN_LINES = 20  # of progress, where each is a line of its own
# What GoogleTest and unittest say beside the reason of a skip.
_REASON = re.compile(r"\bSkipped\n(.+)|skipped(?: ['\"]|: )(.+?)(?:['\"]\n|\n|$)")


class Progress:
    """What is going on: at a terminal in a line that is overwritten, elsewhere as a line from time to time."""

    def __init__(self):
        self._is_terminal = sys.stdout.isatty()
        self._last = time.monotonic()

    def show(self, text):
        if self._is_terminal:
            print(f"\r\033[K{text}", end="", flush=True)
        elif time.monotonic() - self._last > _SECONDS_BETWEEN_LINES:
            print(text, flush=True)
            self._last = time.monotonic()

    def print(self, text):
        """A line that stays."""
        print(f"\r\033[K{text}" if self._is_terminal else text, flush=True)
        self._last = time.monotonic()


def group_of(test):
    """A step's name, or what else a test is about."""
    labels = [label for one in test.get("properties", []) if one["name"] == "LABELS" for label in one["value"]]
    return next((label for label in labels if label.startswith("step")), labels[0] if labels else "other")


def groups_of(folder, selection):
    """The group of each selected test, in the order of the build."""
    listed = subprocess.run(["ctest", "--test-dir", folder, "--show-only=json-v1", *selection],
                            check=True, capture_output=True, text=True)
    return {test["name"]: group_of(test) for test in json.loads(listed.stdout)["tests"]}


def outputs_of(file):
    """What each test that did not pass has written."""
    cases = xml.etree.ElementTree.parse(file).getroot().iter("testcase")
    return {case.get("name"): case.findtext("system-out", "") for case in cases if case.get("status") != "run"}


def reason_of(output):
    found = _REASON.search(output)
    return next((text.strip() for text in found.groups() if text), "no reason given") if found else "no reason given"


class Report:
    """Counts the tests of each group and prints a group once it is complete."""

    def __init__(self, groups, progress):
        self._groups = groups
        self._progress = progress
        self._results = collections.defaultdict(collections.Counter)
        self._sizes = collections.Counter(groups.values())
        self._began = time.monotonic()
        self.skipped = []
        self.failed = []
        self.passed_at_last = []
        self.passed = 0

    def add(self, name, result, number, total):
        group = self._groups.get(name, "other")
        kind = {"Passed": "passed", "***Skipped": "skipped"}.get(result, "failed")
        self._results[group][kind] += 1
        if kind == "passed":
            self.passed += 1
        else:
            getattr(self, kind).append(name)
        if kind == "failed":
            self._progress.print(f"{name}: {result.strip('* ').lower()}")
        if self._results[group].total() == self._sizes[group]:
            counts = ", ".join(f"{self._results[group][kind]} {kind}" for kind in ("passed", "failed", "skipped")
                               if self._results[group][kind])
            self._progress.print(f"{group:<22} {counts}")
        self._progress.show(f"tests: {number} of {total}")

    def add_second_try(self, name):
        self.failed.remove(name)
        self.passed_at_last.append(name)
        self.passed += 1
        self._results[self._groups.get(name, "other")].update(failed=-1, passed=1)

    def seconds(self):
        return time.monotonic() - self._began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset")
    parser.add_argument("--step")
    parser.add_argument("--label")
    arguments = parser.parse_args()
    folder = ROOT / "build" / arguments.preset
    definitions = [f"-DPRESET={arguments.preset}"]
    selection = ["-L", f"^{arguments.label}$"] if arguments.label else ["-LE", "^contributor$"]
    if arguments.step:
        definitions.append(f"-DSTEP={arguments.step}")
        selection += ["-L", f"^{arguments.step}$"]
    if arguments.label:
        definitions.append(f"-DLABEL={arguments.label}")

    progress = Progress()
    report = Report(groups_of(folder, selection), progress)
    other_lines = []
    (folder / "tests.xml").unlink(missing_ok=True)
    # Without --no-compress-output ctest writes long outputs into tests.xml as base64 of what it has compressed.
    process = subprocess.Popen(["ctest", "-S", "tests/run.ctest.cmake", "-V", "--no-compress-output", *definitions], cwd=ROOT,
                               text=True, errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT)
    with process:
        for line in process.stdout:
            found = _FINISHED.match(line)
            if found:
                report.add(found["name"], found["result"], found["number"], found["total"])
            elif found := _PASSED_AT_LAST.match(line):
                report.add_second_try(found["name"])
            else:
                other_lines.append(line)
    if report.passed + len(report.failed) + len(report.skipped) == 0:
        print("".join(other_lines) + "No test has run; what ctest says is above", flush=True)
        return 1

    outputs = outputs_of(folder / "tests.xml")
    for name in report.failed:
        progress.print(f"\n--- {name} ---\n{outputs.get(name, '')}")
    if report.passed_at_last:
        progress.print("Passed at the second try only: " + ", ".join(report.passed_at_last))
    reasons = collections.Counter(reason_of(outputs.get(name, "")) for name in report.skipped)
    for reason, count in reasons.items():
        progress.print(f"Skipped: {count} {'test' if count == 1 else 'tests'}: {reason}")
    ran = report.passed + len(report.failed)
    minutes, seconds = divmod(round(report.seconds()), 60)
    progress.print(f"{ran} tests ran in {minutes} min {seconds} s")
    if report.failed:
        progress.print("Failed: " + ", ".join(report.failed))
    percent = 100 * report.passed // ran if ran else 100
    progress.print(f"{percent}% tests passed, {len(report.failed)} tests failed out of {ran}")
    if report.skipped and os.environ.get("CI"):
        progress.print("Some tests were skipped; with CI set each one has to run")
        return 1
    return 1 if report.failed or process.returncode else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
