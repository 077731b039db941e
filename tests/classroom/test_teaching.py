"""What TEACHING.md and the text tell a teacher: the lists of exercises, the workflow file, and the scripts for Gradescope."""

import os
import re
import subprocess
import unittest

from exercises.tool.__main__ import parser
from exercises.tool.catalogue import FOLDER, ROOT, load_all
from exercises.tool.formats import FORMATS

TEACHING = (FOLDER / "TEACHING.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", TEACHING)


def grade_commands(script: str) -> list[list[str]]:
    """The words of each `./tutorial grade`, quotes and redirections apart."""
    return [re.sub(r'["\']|>\S+', "", command).split() for command in re.findall(r"\./tutorial (grade .*)", script)]


class Workflow(unittest.TestCase):
    def setUp(self):
        try:
            import yaml
        except ImportError:
            if os.environ.get("CI"):
                raise
            self.skipTest("python3-yaml is missing. Run ./tutorial setup --contributor")
        [text] = blocks("yaml")
        self.workflow = yaml.safe_load(text)

    def test_runs_on_each_push(self):
        self.assertEqual(self.workflow[True], "push")  # YAML 1.1 reads the key `on` as a truth value

    def test_commands_are_those_of_the_suite(self):
        [job] = self.workflow["jobs"].values()
        self.assertTrue(job["runs-on"])
        checked_out = {step["with"]["path"] for step in job["steps"] if step.get("uses", "").startswith("actions/checkout@")}
        self.assertEqual(checked_out, {"submission", "suite"})
        scripts = [step for step in job["steps"] if "run" in step]
        self.assertTrue(all(step["working-directory"] in checked_out for step in scripts))
        script = "\n".join(step["run"] for step in scripts)
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        self.assertIn("./tutorial setup", script)
        [command] = grade_commands(script)
        self.assertEqual(parser().parse_args(command).format, "github")


class Scripts(unittest.TestCase):
    def test_of_gradescope_are_shell_and_grade_a_submission(self):
        for script in blocks("bash"):
            subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        [command] = [command for script in blocks("bash") for command in grade_commands(script)]
        arguments = parser().parse_args(command)
        self.assertIn(arguments.name, load_all())
        self.assertEqual(arguments.format, "gradescope")

    def test_every_format_is_described(self):
        for name in FORMATS.keys() - {"json"}:
            self.assertIn(f"`{name}`", TEACHING)


class Lists(unittest.TestCase):
    def test_there_are_as_many_exercises_as_were_asked_for(self):
        self.assertGreaterEqual(len(load_all()), 14)

    def test_every_exercise_is_in_a_lesson(self):
        lessons = TEACHING.split("## Common mistakes")[0]
        for name in load_all():
            self.assertIn(f"`{name}`", lessons)

    def test_every_exercise_is_in_the_list_of_its_chapter(self):
        text = (ROOT / "tutorial.md").read_text()
        for exercise in load_all().values():
            chapter = text.split(f"\n## Step {exercise.step}:")[1].split("\n## ")[0]
            with self.subTest(exercise.name):
                self.assertIn(f"`{exercise.name}`", chapter.split("\n### Exercises")[1])

    def test_every_link_of_a_readme_leads_somewhere(self):
        text = (ROOT / "tutorial.md").read_text()
        anchors = {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in re.findall(r"(?m)^#+ (.*)$", text)}
        for exercise in load_all().values():
            for target in re.findall(r"\]\((?!http)([^)]+)\)", (exercise.folder / "README.md").read_text()):
                path, _, anchor = target.partition("#")
                with self.subTest(f"{exercise.name}: {target}"):
                    self.assertTrue((exercise.folder / path).exists())
                    self.assertTrue(not anchor or anchor in anchors)


if __name__ == "__main__":
    unittest.main()
