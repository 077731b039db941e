"""./tutorial check against servers of several kinds: each step, each step taken for the next, and the Flask originals, whose
verdicts are in golden/. Slow: it waits for idle timeouts. CONTRACT_WRITE=1 writes golden/ anew."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from exercises.tool import contract
from exercises.tool.builder import READERS
from exercises.tool.catalogue import ExerciseError, step_folder

HERE = Path(__file__).parent
ORIGINALS = HERE.parent / "bench" / "peers" / "flask"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def wait_for(port: int, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("a server does not start")


def python_with_flask() -> str | None:
    for python in ("/usr/bin/python3", shutil.which("python3") or ""):
        if python and subprocess.run([python, "-c", "import flask, redis"], capture_output=True).returncode == 0:
            return python
    return None


class World(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        port = free_port()
        self.start(["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", folder.name], port)
        self.redis = f"redis://127.0.0.1:{port}"

    def start(self, command, port, **environment):
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL)
        self.addCleanup(process.wait)
        self.addCleanup(process.terminate)
        wait_for(port, process)
        return f"http://127.0.0.1:{port}"

    def step(self, number, **environment):
        """Starts a step's server."""
        port = free_port()
        return self.start([READERS.program(number), "--port", str(port)], port, SECRET_KEY="k" * 40,
                          **{"REDIS_URL": self.redis, **environment})

    def broken(self, number, urls, ttl=None, redis=None, weight="essential"):
        rules = contract.check(READERS, number, urls, ttl, redis)
        return {rule.id for rule in rules.values() if rule.status == contract.BROKEN and rule.weight == weight}


class Steps(World):
    @classmethod
    def setUpClass(cls):
        for number in (1, 2, 3):
            READERS.make(step_folder(number), f"test_{step_folder(number)}")

    def test_each_step_passes_its_own_check(self):
        for number, environment in {1: {}, 2: {}, 3: {"SESSION_TTL": "3"}}.items():
            with self.subTest(step=number):
                url = self.step(number, **environment)
                started = time.monotonic()
                self.assertEqual(self.broken(number, [url], 3, self.redis), set())
                self.assertLess(time.monotonic() - started, 20)

    def test_two_servers_on_one_store(self):
        for number in (2, 3):
            with self.subTest(step=number):
                urls = [self.step(number), self.step(number)]
                rules = contract.rules_of(number)
                contract.check_counting(rules, number, urls)
                self.assertEqual(rules["counter.atomic"].status, contract.KEPT)

    def test_two_servers_on_two_stores_are_noticed(self):
        urls = [self.step(2), self.step(2, REDIS_URL=self.redis + "/1")]
        rules = contract.rules_of(2)
        contract.check_counting(rules, 2, urls)
        self.assertEqual(rules["counter.atomic"].status, contract.BROKEN)

    def test_step_1_is_no_step_2(self):
        self.assertIn("counter.visits", self.broken(2, [self.step(1)]))

    def test_step_2_is_no_step_3(self):
        self.assertEqual(self.broken(3, [self.step(2)], 3, self.redis), {"expiry.restart", "expiry.one-unit"})

    def test_step_3_that_never_expires_is_noticed(self):
        rules = contract.rules_of(3)
        contract.check_idle_timeout(rules, 3, self.step(3, SESSION_TTL="1000"), 3)
        self.assertEqual({rule.id for rule in rules.values() if rule.status == contract.BROKEN}, {"expiry.restart"})
        self.assertIn("--ttl SECONDS", rules["expiry.restart"].findings[0])

    def test_nothing_answers(self):
        with self.assertRaisesRegex(ExerciseError, "nothing answers at http://127.0.0.1:1 "):
            contract.preflight(["http://127.0.0.1:1"])


@unittest.skipUnless(python_with_flask(), "Flask is not installed. Run ./tutorial setup")
class Originals(World):
    """Which rules the Flask originals break, and why, is for TEACHING.md; a change in it has to be seen."""

    def test_verdicts_are_those_of_golden(self):
        for number in (1, 2, 3):
            READERS.make(f"test_{step_folder(number)}")
            with self.subTest(step=number):
                port = free_port()
                url = self.start([python_with_flask(), "-m", "flask", "--app", ORIGINALS / f"step{number}.py", "run",
                                  "--port", str(port)], port, SECRET_KEY="k" * 40, REDIS_URL=self.redis)
                rules = contract.check(READERS, number, [url], 10, None)
                text = "".join(f"{rule.status}: {rule.id} ({rule.weight})\n" for rule in rules.values()
                               if rule.status != contract.KEPT)
                golden = HERE / "golden" / f"flask-step{number}.txt"
                if os.environ.get("CONTRACT_WRITE"):
                    golden.parent.mkdir(exist_ok=True)
                    golden.write_text(text)
                self.assertEqual(golden.read_text(), text)


class Reading(unittest.TestCase):
    """What is taken from GoogleTest's report."""

    def test_rules_of_a_step(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write("| `a.one` | 1, 2 | essential | what | why |\n| `a.two` | 2 | polish | what | why |\nno row\n")
            file.flush()
            self.assertEqual(list(contract.rules_of(1, Path(file.name))), ["a.one"])
            self.assertEqual(list(contract.rules_of(2, Path(file.name))), ["a.one", "a.two"])

    def test_broken_once_is_broken(self):
        rules = {"a.one": contract.Rule("a.one", "essential", "one thing"), "a.two": contract.Rule("a.two", "good", "another")}
        failure = "/x/y_scenarios.cpp:12\nValue of: page.body\nExpected: has substring \"a\"\n  Actual: \"b\""
        contract.read_report(rules, {"testsuites": [{"testsuite": [
            {"name": "PageHasName", "rule:a.one": "broken", "failures": [{"failure": failure}]},
            {"name": "Other", "rule:a.one": "kept"}]}]})
        self.assertEqual((rules["a.one"].status, rules["a.two"].status), (contract.BROKEN, contract.NOT_CHECKED))
        text = contract.text_of(2, rules)
        self.assertTrue(text.startswith("This is no step 2 yet: it breaks 1 essential rule (0 kept, 1 broken, 1 not checked).\n"))
        self.assertIn('a.one (essential): one thing\n  page has name\n  Expected: has substring "a"\n    Came: "b"\n', text)
        for noise in (".cpp", "Value of", "Actual"):
            self.assertNotIn(noise, text)


    def test_equality_is_told_as_expected_and_came(self):
        failure = ("x.cpp:1\nExpected equality of these values:\n  response.header(\"Vary\")\n    Which is: (nullopt)\n"
                   "  \"Cookie\"\n    Which is: 0x55\nGoogle Test trace:\ny.cpp:2: 200")
        self.assertEqual(contract.without_noise(failure), 'Expected: "Cookie"\nCame: nothing')
        self.assertEqual(contract.without_noise("Expected equality of these values:\n  status\n    Which is: 302\n  400"),
                         "Expected: 400\nCame: 302")

    def test_words(self):
        self.assertEqual(contract.words("OnlyAVisitLogsOutIs400"), "only a visit logs out is 400")


if __name__ == "__main__":
    unittest.main()
