"""The grader against submissions that mean no good. Slow: each is compiled. `./tutorial exercise --prove` does not run it,
CI does."""

import dataclasses
import os
import tempfile
import unittest
from pathlib import Path

from exercises.tool import grade
from exercises.tool.catalogue import load
from exercises.tool.grade import Grader
from exercises.tool.sandbox import SUBMISSION_USER, Limits

from .processes import left_of
from .zoo import ZOO, write_zoo


@unittest.skipUnless(os.geteuid() == 0, "the sandbox needs root")
class Zoo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.compile_limits = grade.COMPILE
        grade.COMPILE = dataclasses.replace(grade.COMPILE, seconds=25)
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.submissions = write_zoo(Path(folder.name))
        cls.grader = Grader(load("count-logins"), ["zoo"])
        cls.addClassCleanup(cls.grader.close)

    @classmethod
    def tearDownClass(cls):
        grade.COMPILE = cls.compile_limits

    def test_0_limits_are_in_force(self):
        """Before anything dangerous runs."""
        sandbox = self.grader.sandbox
        outcome = sandbox.run(["cat", "/proc/self/limits"], SUBMISSION_USER, Limits(10, processes=77), {})
        self.assertRegex(outcome.output, r"Max processes +77 +77")
        loop = sandbox.run(["sh", "-c", "setsid sleep 60 & sleep 60"], SUBMISSION_USER, Limits(1), {})
        self.assertTrue(loop.timed_out)
        self.assertEqual(left_of(range(sandbox.first_user, sandbox.first_user + 3)), [])

    def test_each_is_graded_as_what_it_is(self):
        users = range(self.grader.sandbox.first_user, self.grader.sandbox.first_user + 3)
        only = os.environ.get("ZOO", "").split() or ZOO
        for name in only:
            with self.subTest(name):
                animal = ZOO[name]
                result = self.grader.grade(name, self.submissions[name])
                self.assertEqual(result.status, animal.expected, f"{result.reason} {result.output} {result.tasks}")
                self.assertIn(animal.reason, result.reason)
                self.assertIn(animal.message, "".join(task.message for task in result.tasks))
                self.assertEqual(result.score, 3 if animal.expected == "passed" else result.score)
                if animal.expected != "passed":
                    self.assertLess(result.score, 3)
                self.assertEqual(left_of(users), [])
                self.assertLess(result.seconds, 100)
                print(f"{name}: {result.status} {result.score:g} ({result.reason}) {result.seconds} s", flush=True)


if __name__ == "__main__":
    unittest.main()
