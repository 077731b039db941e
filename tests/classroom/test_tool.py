"""The exercises' descriptions, verdicts and copies, without building anything."""

import contextlib
import io
import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from exercises.tool import catalogue, grade, student, tree
from exercises.tool.catalogue import ExerciseError, changed_since, load, load_all
from exercises.tool.sandbox import Protections
from exercises.tool.verdict import FAILED, NOT_CHECKED, PASSED, Scenario, judge, read_scenarios, shown, verdict_text


class Catalogue(unittest.TestCase):
    def test_every_exercise_is_complete(self):
        for exercise in load_all().values():
            with self.subTest(exercise.name):
                self.assertGreaterEqual(len(exercise.wrong_ways), 3)
                self.assertTrue((exercise.folder / "README.md").exists())
                self.assertTrue((exercise.folder / "solution.diff").exists())
                self.assertTrue((exercise.folder / "check.cpp").exists())
                texts = {file.stem for file in (exercise.folder / "expected").glob("*.txt")}
                self.assertEqual(texts, {"start", *exercise.wrong_ways})
                for wrong in exercise.wrong_ways.values():
                    self.assertTrue(wrong.fails, wrong.name)

    def test_every_diff_still_applies(self):
        with tempfile.TemporaryDirectory() as folder:
            source, start = Path(folder) / "src", Path(folder) / "start"
            for exercise in load_all().values():
                tree.write_start(exercise, start)
                for variant in ["solution", *exercise.wrong_ways]:
                    with self.subTest(f"{exercise.name} {variant}"):
                        tree.write_variant(exercise, variant, source)
                        self.assertLessEqual(set(tree.changed_files(source, start)), set(exercise.files))
                for choice in exercise.servers.values():
                    if choice.diff:
                        with self.subTest(f"{exercise.name} {choice.diff}"):
                            tree.copy_steps(source)
                            tree.apply_diff(exercise.folder / choice.diff, source)

    def test_diff_that_no_longer_applies_is_an_error(self):
        with tempfile.TemporaryDirectory() as folder:
            diff = Path(folder) / "x.diff"
            diff.write_text("--- a/step3_ttl/main.cpp\n+++ b/step3_ttl/main.cpp\n@@ -1 +1 @@\n-// Nothing like it.\n+// x\n")
            tree.copy_steps(Path(folder) / "src")
            with self.assertRaisesRegex(ExerciseError, "no longer applies"):
                tree.apply_diff(diff, Path(folder) / "src")

    def test_unknown_name(self):
        with self.assertRaisesRegex(ExerciseError, "there is no exercise 'nothing'. They are: "):
            load("nothing")
        with self.assertRaises(ExerciseError):
            load("../exercises/count-logins")

    def test_changed_since_a_commit_of_git(self):
        with tempfile.TemporaryDirectory() as folder, \
                mock.patch.multiple(catalogue, ROOT=Path(folder), FOLDER=Path(folder) / "exercises"):
            def git(*arguments):
                subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", *arguments], cwd=folder, check=True)

            for name in ("changed", "same"):
                (catalogue.FOLDER / name).mkdir(parents=True)
                (catalogue.FOLDER / name / "README.md").write_text("before")
            (catalogue.ROOT / "README.md").write_text("before")
            git("init", "--quiet")
            git("add", ".")
            git("commit", "--quiet", "--message=x")
            self.assertEqual(changed_since("HEAD"), set())
            (catalogue.FOLDER / "changed" / "README.md").write_text("after")
            (catalogue.ROOT / "README.md").write_text("after")
            self.assertEqual(changed_since("HEAD"), {"changed"})
            with self.assertRaisesRegex(ExerciseError, "git cannot compare with HEAD~1"):
                changed_since("HEAD~1")


class Verdicts(unittest.TestCase):
    exercise = load("count-logins")  # tasks 2 and 3 need task 1

    def judged(self, *outcomes):
        return [task.status for task in judge(self.exercise, [
            Scenario(number, f"S{number}", outcome) for number, outcome in outcomes]).tasks]

    def test_task_whose_precondition_failed_is_not_checked(self):
        self.assertEqual(self.judged((1, FAILED), (2, FAILED), (3, PASSED)), [FAILED, NOT_CHECKED, NOT_CHECKED])
        self.assertEqual(self.judged((1, PASSED), (2, FAILED), (3, PASSED)), [PASSED, FAILED, PASSED])

    def test_one_failed_scenario_fails_its_task(self):
        self.assertEqual(self.judged((1, PASSED), (1, FAILED))[0], FAILED)

    def test_task_that_nothing_has_checked_is_not_passed(self):
        self.assertEqual(self.judged((1, PASSED)), [PASSED, NOT_CHECKED, NOT_CHECKED])
        self.assertEqual(self.judged(), [NOT_CHECKED] * 3)

    def test_what_came_is_never_cut_before_the_difference(self):
        expected = "a" * 3000 + "b"
        came = "a" * 3000 + "c" + "d" * 5000
        self.assertIn("ac", shown(came, expected))
        self.assertIn("more characters", shown(came, expected))
        self.assertEqual(shown("short", "x"), "short")

    def test_scenario_that_never_ended_has_timed_out(self):
        with tempfile.NamedTemporaryFile("w") as file:
            file.write('{"task":1,"test":"A"}\n{"task":1,"test":"A","outcome":"passed","steps":[],"seconds":1}\n'
                       '{"task":2,"test":"B"}\n{"task":2,"te')
            file.flush()
            first, second = read_scenarios(Path(file.name))
        self.assertEqual((first.outcome, second.outcome, second.wrong_way), (PASSED, FAILED, "timed-out"))

    def test_text_names_next_command_and_known_wrong_way(self):
        verdict = judge(self.exercise, [Scenario(1, "A", FAILED, ["one", "two"], "GET /", "x", "y\nz", "one-counter")])
        text = verdict_text(self.exercise, verdict)
        self.assertTrue(text.startswith("count-logins: 0 of 3 tasks done; task 1 is not done yet.\n"))
        for part in ("  1. one\n  2. two\n", "  Sent      GET /\n", "  Expected  x\n", "  Came      y\n            z\n",
                     "  Known as  one-counter: ", "  ./tutorial exercise count-logins\n", "--hint"):
            self.assertIn(part, text)


class Loop(unittest.TestCase):
    """The student's files and progress, in a folder of the test's own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        patch = mock.patch.object(student, "MY", Path(folder.name))
        patch.start()
        self.addCleanup(patch.stop)
        self.exercise = load("lost-update")
        self.file = Path(folder.name) / "lost-update" / self.exercise.files[0]

    def said(self, function, *arguments):
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            function(*arguments)
        return output.getvalue()

    def test_copy_is_the_start_and_is_not_overwritten(self):
        student.make_copy(self.exercise)
        self.assertIn("count_visit", self.file.read_text())
        self.file.write_text("mine")
        student.make_copy(self.exercise)
        self.assertEqual(self.file.read_text(), "mine")

    def test_reset_keeps_what_was_there(self):
        student.make_copy(self.exercise)
        self.file.write_text("mine")
        self.said(student.reset, self.exercise, student.Progress())
        self.assertIn("count_visit", self.file.read_text())
        self.assertEqual(self.file.with_name("main.cpp.before").read_text(), "mine")

    def test_hints_come_one_by_one_for_the_first_open_task(self):
        first = self.said(student.give_hint, self.exercise, student.Progress())
        second = self.said(student.give_hint, self.exercise, student.Progress())
        self.assertIn("Task 1, hint 1 of 3", first)
        self.assertNotIn("hint 2", first)
        self.assertIn("hint 2 of 3", second)
        progress = student.Progress()
        progress.of("lost-update")["tasks"] = [1]
        self.assertIn("Task 2, hint 1", self.said(student.give_hint, self.exercise, progress))

    def test_solution_before_success_is_asked_for_and_noted(self):
        progress = student.Progress()
        self.assertEqual(self.said(student.show_solution, self.exercise, progress, lambda _: "n"), "")
        self.assertEqual(student.Progress().of("lost-update")["solution"], "")
        self.assertIn("hincrby", self.said(student.show_solution, self.exercise, progress, lambda _: "y"))
        self.assertEqual(student.Progress().of("lost-update")["solution"], "before")
        self.assertIn("solution seen first", self.said(self._listing_when_passed))

    def _listing_when_passed(self):
        progress = student.Progress()
        progress.of("lost-update")["passed"] = True
        student.list_exercises(progress)

    def test_solution_after_success_is_free(self):
        progress = student.Progress()
        progress.of("lost-update")["passed"] = True
        self.assertIn("hincrby", self.said(student.show_solution, self.exercise, progress, self.fail))
        self.assertEqual(student.Progress().of("lost-update")["solution"], "after")

    def test_watch_checks_at_each_save_until_all_is_done(self):
        student.make_copy(self.exercise)
        verdicts = []

        def check(*_):
            verdicts.append(mock.Mock(passed=len(verdicts) == 2))
            if not verdicts[-1].passed:
                os.utime(self.file, (len(verdicts), len(verdicts)))  # the student saves
            return verdicts[-1]

        times = [[0.0], [1.0], [1.0], [2.0], [2.0], [3.0]]  # before and after each check
        with mock.patch.object(student, "check_once", check), mock.patch.object(student, "_saved", side_effect=times):
            self.said(student.watch, self.exercise, student.Progress())
        self.assertEqual(len(verdicts), 3)

    def test_list_names_what_comes_next(self):
        listing = self.said(student.list_exercises, student.Progress())
        self.assertIn("★★   step 2   30 min  lost-update", listing)
        self.assertIn("Next: ./tutorial exercise ", listing)


class WithoutProtection(unittest.TestCase):
    def setUp(self):
        for name in ("make_ready", "build_servers"):
            patch = mock.patch.object(grade, name)
            patch.start()
            self.addCleanup(patch.stop)

    def test_grader_refuses_and_says_what_is_missing(self):
        nothing = Protections((), ("users of its own",), False, False)
        with mock.patch.object(grade, "probe", return_value=nothing):
            with self.assertRaisesRegex(ExerciseError, "(?s)  users of its own\n.*sudo ./tutorial grade.*--trust"):
                grade.Grader(load("count-logins"), ["s"])

    def test_trust_is_needed_to_do_without(self):
        with mock.patch.object(grade, "probe", side_effect=self.fail):
            grader = grade.Grader(load("count-logins"), ["s"], trust=True)
        self.addCleanup(grader.close)
        self.assertIsNone(grader.sandbox)
        self.assertEqual(grader.protections.active, ())


class Taking(unittest.TestCase):
    """Only ordinary files of the exercise leave a submission."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.exercise = load("count-logins")
        self.submission = self.folder / "in"
        self.file = self.submission / self.exercise.files[0]
        self.file.parent.mkdir(parents=True)
        self.target = self.folder / "out"

    def refused(self, what):
        with self.assertRaisesRegex(grade.Refused, what):
            grade.take_files(self.exercise, self.submission, self.target)
        self.assertFalse((self.target / self.exercise.files[0]).exists())

    def test_nothing_else_is_taken(self):
        self.file.write_text("code")
        (self.submission / "CMakeLists.txt").write_text("execute_process(COMMAND rm)")
        (self.file.parent / "redis_client.hpp").write_text("#error")
        grade.take_files(self.exercise, self.submission, self.target)
        self.assertEqual([str(path.relative_to(self.target)) for path in self.target.rglob("*") if path.is_file()],
                         [self.exercise.files[0]])
        self.assertEqual(grade.other_files(self.exercise, self.submission),
                         ["CMakeLists.txt", "step2_redis_counter/redis_client.hpp"])

    def test_file_without_its_folder_is_taken(self):
        (self.submission / "main.cpp").write_text("code")
        grade.take_files(self.exercise, self.submission, self.target)
        self.assertEqual((self.target / self.exercise.files[0]).read_text(), "code")

    def test_links_are_refused(self):
        self.file.symlink_to("/etc/passwd")
        self.refused("is a link")
        self.file.unlink()
        self.file.parent.rmdir()
        self.file.parent.symlink_to("/etc")
        self.refused("is a link")

    def test_hard_link_is_refused(self):
        secret = self.folder / "secret"
        secret.write_text("s")
        os.link(secret, self.file)
        self.refused("hard link")

    def test_folder_pipe_and_giant_are_refused(self):
        self.refused("missing")
        self.file.mkdir()
        self.refused("no ordinary file|directory")
        self.file.rmdir()
        os.mkfifo(self.file)
        self.refused("no ordinary file")
        self.file.unlink()
        self.file.write_bytes(b"x" * (grade.MAX_SOURCE + 1))
        self.refused("larger than")


if __name__ == "__main__":
    unittest.main()
