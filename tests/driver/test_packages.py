"""What ./tutorial installs and how, with stand-ins for apt, curl and npm, so that nothing is installed."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
EMULATOR = "platform/cloud-firestore-emulator/cloud_firestore_emulator"

# Each notes how it was called. `down` names those that fail.
STAND_IN = """\
#!/bin/bash
name=${0##*/}
printf '%s\\n' "$name $*" >>"$WORLD/calls"
[[ " $DOWN " != *" $name "* ]] || exit 6
case "$name $*" in
  'apt-get '*assume-no*)
    echo 'Need to get 12.3 MB of archives.'
    echo 'After this operation, 45.6 MB of additional disk space will be used.' ;;
  'apt-get '*google-cloud-cli-firestore-emulator*)
    mkdir -p "$WORLD/sdk/platform/cloud-firestore-emulator"
    touch "$WORLD/sdk/platform/cloud-firestore-emulator/cloud_firestore_emulator"
    chmod +x "$WORLD/sdk/platform/cloud-firestore-emulator/cloud_firestore_emulator" ;;
  'npx '*)
    mkdir -p ~/.cache/firebase/emulators
    touch ~/.cache/firebase/emulators/cloud-firestore-emulator-v1.jar ;;
  'curl '*) echo key ;;
  'gpg '*) cat ;;
  'tee '*) cat >"$WORLD/${1##*/}" ;;
esac
"""


class World(unittest.TestCase):
    """A machine without an emulator, as far as the driver can tell."""

    def setUp(self):
        files = tempfile.TemporaryDirectory()
        self.addCleanup(files.cleanup)
        self.world = pathlib.Path(files.name)
        programs = self.world / "programs"
        programs.mkdir()
        for name in ("apt-get", "apt-cache", "curl", "gpg", "npm", "npx", "tee"):
            (programs / name).write_text(STAND_IN)
            (programs / name).chmod(0o755)
        self.path = f"{programs}:{os.environ['PATH']}"

    def call(self, script, *, down="", **variables):
        # As root, for who asks for sudo has no stand-in.
        prelude = f'''. {ROOT}/tutorial; emulator_folders=("$WORLD/sdk"); as_root() {{ "$@"; }}; missing_packages() {{ :; }}
command() {{ [[ $2 != gcloud ]] && builtin command "$@"; }}'''
        environment = {"PATH": self.path, "HOME": str(self.world), "WORLD": str(self.world), "DOWN": down, **variables}
        return subprocess.run(["bash", "-c", f"{prelude}\n{script}"], capture_output=True, text=True, timeout=60,
                              env=environment, check=False)

    def calls(self):
        file = self.world / "calls"
        return file.read_text() if file.exists() else ""


class Emulator(World):
    def test_one_that_is_there_is_taken(self):
        script = self.world / "sdk" / EMULATOR
        script.parent.mkdir(parents=True)
        script.touch()
        script.chmod(0o755)
        answer = self.call('try_firestore && echo "${emulator[0]}"')
        self.assertEqual(answer.stdout, f"{script}\n", answer.stderr)
        self.assertEqual(self.calls(), "")

    def test_the_environment_may_name_one(self):
        answer = self.call("try_firestore", FIRESTORE_EMULATOR_HOST="127.0.0.1:1")
        self.assertEqual((answer.returncode, self.calls()), (0, ""))

    def test_else_it_comes_from_googles_signed_apt_source(self):
        answer = self.call("try_firestore")
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertIn("Google's apt source", answer.stdout)
        self.assertIn("600 MB", answer.stdout)
        self.assertIn("12.3 MB to download, 45.6 MB on the disk", answer.stdout)
        self.assertEqual((self.world / "google-cloud-sdk.list").read_text(),
                         "deb [signed-by=/usr/share/keyrings/cloud.google.gpg] "
                         "https://packages.cloud.google.com/apt cloud-sdk main\n")
        self.assertEqual((self.world / "cloud.google.gpg").read_text(), "key\n")
        self.assertNotIn("npx", self.calls())

    def test_else_it_comes_from_npm(self):
        answer = self.call("try_firestore", down="curl")
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertIn("firebase-tools", answer.stdout)
        self.assertIn("300 MB", answer.stdout)
        self.assertIn("npx --yes firebase-tools setup:emulators:firestore", self.calls())

    def test_without_a_network_it_does_not_come_and_run_says_what_to_do(self):
        answer = self.call("need_firestore", down="curl npx")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("the Firestore emulator is missing and could not be installed", answer.stderr)
        answer = self.call("try_firestore || echo 'going on'", down="curl npx")
        self.assertTrue(answer.stdout.endswith("going on\n"), answer.stdout + answer.stderr)


class Packages(World):
    def test_what_is_missing_is_told_with_its_size(self):
        answer = self.call("install_packages one two")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertTrue(answer.stdout.startswith(
            "Installing with apt-get: one two\n  12.3 MB to download, 45.6 MB on the disk\n"), answer.stdout)

    def test_who_is_not_root_and_has_no_sudo_is_told_the_command(self):
        answer = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", "bash", "-c",
             f'. {ROOT}/tutorial; command() {{ [[ $2 != sudo ]] && builtin command "$@"; }}; install_packages one two'],
            capture_output=True, text=True, timeout=60, check=False)
        if "setpriv" in answer.stderr:
            self.skipTest("only root can become somebody else")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("apt-get install --no-install-recommends one two", answer.stderr)

    def test_without_apt_it_names_the_container(self):
        answer = self.call('command() { [[ $2 != apt-get ]] && builtin command "$@"; }; install_packages one')
        self.assertEqual(answer.returncode, 1)
        self.assertIn("docker compose up", answer.stderr)

    def test_a_program_from_elsewhere_counts(self):
        script = f". {ROOT}/tutorial; dpkg-query() {{ :; }}; missing_packages redis nginx"
        with_it = subprocess.run(["bash", "-c", f"command() {{ true; }}; {script}"], capture_output=True, text=True, check=True)
        self.assertEqual(with_it.stdout, "")
        without = subprocess.run(["bash", "-c", f"command() {{ false; }}; {script}"], capture_output=True, text=True, check=True)
        self.assertEqual(without.stdout.split(), ["redis-server", "redis-tools", "nginx-light"])

    def test_each_system_has_its_own_packages(self):
        release = self.world / "os-release"
        for text, column in (("ID=debian\nVERSION_ID=12\n", 3), ("ID=debian\nVERSION_ID=13\n", 4),
                             ("ID=ubuntu\nVERSION_ID=24.04\n", 5), ("ID=debian\n", 4)):
            release.write_text(text)
            answer = self.call("system_column", os_release=str(release))
            self.assertEqual(answer.stdout, f"{column}\n", text + answer.stderr)


class WhatTestsCanDoWithout(World):
    """nginx, Chromium and Node.js."""

    WAYS = {"nginx": "nginx-light", "browser": "chromium chromium-driver", "node": "npm"}

    def try_need(self, need, down=""):
        script = f"""missing_packages() {{ echo {self.WAYS[need]} | tr ' ' '\\n'; }}
try_need {need} || echo 'going on'"""
        return self.call(script, down=down)

    def test_comes_with_apt_whose_size_is_told(self):
        for need, packages in self.WAYS.items():
            answer = self.try_need(need)
            self.assertTrue(answer.stdout.startswith(
                f"Installing with apt-get: {packages}\n  12.3 MB to download, 45.6 MB on the disk\n"), answer.stdout + answer.stderr)
            self.assertNotIn("going on", answer.stdout)
            self.assertRegex(self.calls(), rf"apt-get .*-y .*install --no-install-recommends {packages}\n")

    def test_without_a_network_is_gone_without(self):
        for need in self.WAYS:
            answer = self.try_need(need, down="apt-get")
            self.assertTrue(answer.stdout.endswith("going on\n"), answer.stdout + answer.stderr)
            self.assertIn("apt-get update failed", answer.stderr)


class Table(unittest.TestCase):
    ROWS = [line.split() for line in (ROOT / "driver" / "packages.txt").read_text().splitlines()
            if line and not line.startswith("#")]

    def test_each_package_has_a_cell_for_each_system(self):
        self.assertGreater(len(self.ROWS), 40)
        for row in self.ROWS:
            self.assertEqual(len(row), 5, row)

    def test_apt_knows_each_package_in_its_version(self):
        release = pathlib.Path("/etc/os-release").read_text()
        column = next((number for number, system in enumerate(("bookworm", "trixie"), start=2)
                       if f"VERSION_CODENAME={system}" in release), None)
        if not column:
            self.skipTest("only on Debian 12 and 13")
        wanted = {row[1]: row[column] for row in self.ROWS if row[column] != "-"}
        policy = subprocess.run(["apt-cache", "policy", *wanted], capture_output=True, text=True, check=True).stdout
        candidates = dict(re.findall(r"(?m)^(\S+):\n.*\n  Candidate: (?:\d+:)?(\S+)$", policy))
        for name, version in wanted.items():
            self.assertIn(name, candidates, "apt does not know it")
            # default-jre-headless is 2:1.17-74.
            found = candidates[name].removeprefix("1.") if name == "default-jre-headless" else candidates[name]
            if version != "*":
                self.assertRegex(found, rf"^{re.escape(version)}\b", name)


if __name__ == "__main__":
    unittest.main()
