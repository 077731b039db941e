"""The container, its compose file, the dev container and the workflow, checked as far as that goes without Docker."""

import json
import os
import pathlib
import re
import subprocess
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def yaml_of(name):
    try:
        import yaml
    except ImportError:
        if os.environ.get("CI"):
            raise
        raise unittest.SkipTest("python3-yaml is missing. Run ./tutorial setup --contributor") from None
    return yaml.safe_load((ROOT / name).read_text())


def steps():
    return sorted(path.parent.name for path in ROOT.glob("step[0-9]_*/main.cpp"))


class Container(unittest.TestCase):
    TEXT = re.sub(r"\\\n", " ", (ROOT / "Containerfile").read_text())

    def test_copies_what_is_there(self):
        sources = [source for line in re.findall(r"(?m)^COPY (.*) \S+$", self.TEXT) for source in line.split()]
        self.assertIn(".", sources)
        for source in sources:
            self.assertTrue((ROOT / source).exists(), source)

    def test_installs_with_a_command_of_the_driver_that_needs_no_network_but_apts(self):
        [arguments] = re.findall(r"(?m)^RUN \./tutorial setup (.*?) &&", self.TEXT)
        answer = subprocess.run(
            ["bash", "-c", f'. ./tutorial; install_packages() {{ echo "$@"; }}; need_firestore() {{ exit 9; }}; '
             f'dpkg-query() {{ :; }}; command() {{ false; }}; verb_setup {arguments}'],
            cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertLessEqual({"g++", "cmake", "libpistache-dev", "redis-server"}, set(answer.stdout.split()))

    def test_builds_every_step_and_does_not_run_as_root(self):
        self.assertEqual(re.findall(r"\bstep\d_\w+", self.TEXT.split("--target")[1].split("\n")[0]), steps())
        self.assertRegex(self.TEXT, r"(?m)^USER (?!root)")
        self.assertIn("HOST=0.0.0.0", self.TEXT)


class Compose(unittest.TestCase):
    def setUp(self):
        self.services = yaml_of("compose.yaml")["services"]

    def test_has_a_service_for_each_step_and_each_store(self):
        self.assertEqual(sorted(self.services), sorted([*(step.split("_")[0] for step in steps()), "redis", "emulator"]))
        for step in steps():
            service = self.services[step.split("_")[0]]
            self.assertEqual(service["command"], step)
            self.assertTrue((ROOT / service["build"]["dockerfile"]).is_file())

    def test_sets_what_the_program_documents_and_names_services(self):
        for step in steps():
            program = ROOT / "build" / "tutorial" / "bin" / step
            subprocess.run(["cmake", "--build", "--preset", "tutorial", "--target", step], cwd=ROOT, check=True,
                           stdout=subprocess.DEVNULL)
            known = subprocess.run([program, "--help"], capture_output=True, text=True, check=True).stdout
            service = self.services[step.split("_")[0]]
            for name, value in service["environment"].items():
                self.assertRegex(known, rf"\b{name}\b", step)
                host = re.search(r"(?:^|://)([a-z]+):\d+$", value)
                if host:
                    self.assertIn(host[1], service["depends_on"])
            port = re.search(r"--port \S*=(\d+)", known)[1]
            self.assertRegex(service["ports"][0], rf"^127\.0\.0\.1:\d+:{port}$", step)


class Files(unittest.TestCase):
    def test_the_dev_container_builds_the_same_container(self):
        settings = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
        self.assertEqual((ROOT / ".devcontainer" / settings["build"]["dockerfile"]).resolve(), ROOT / "Containerfile")
        self.assertTrue(settings["postCreateCommand"].startswith("./tutorial setup"))

    def test_the_workflow_runs_what_any_machine_can_run(self):
        workflow = yaml_of(".github/workflows/ci.yml")
        [job] = workflow["jobs"].values()
        self.assertIn(".ci/run", [step.get("run") for step in job["steps"]])
        self.assertTrue(os.access(ROOT / ".ci" / "run", os.X_OK))
        header = (ROOT / "driver" / "packages.txt").read_text()
        for image in job["strategy"]["matrix"]["image"]:
            self.assertIn(image.replace(":", "-"), header)

    def test_clangd_gets_the_flags_of_lint(self):
        lint = re.findall(r"--extra-arg=(\S+)", (ROOT / "cmake" / "lint.cmake").read_text())
        self.assertGreater(len(lint), 3)
        self.assertEqual(yaml_of(".clangd")["CompileFlags"]["Add"], lint)

    def test_the_change_log_has_the_version(self):
        version = re.search(r"project\(\w+ VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text())[1]
        self.assertIn(f"## {version}\n", (ROOT / "CHANGELOG.md").read_text())


if __name__ == "__main__":
    unittest.main()
