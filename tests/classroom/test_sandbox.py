"""Each protection of the sandbox, seen at work."""

import os
import secrets
import shutil
import sys
import tempfile
import threading
import unittest

from exercises.tool.catalogue import ROOT
from exercises.tool.sandbox import CHECK_USER, KEPT_OUTPUT, SERVER_USER, SUBMISSION_USER, Limits, Sandbox, probe

from .processes import left_of

PYTHON = "/usr/bin/python3"  # also where this runs by another, in somebody's home


@unittest.skipUnless(os.geteuid() == 0, "the sandbox needs root")
class Protections(unittest.TestCase):
    def setUp(self):
        self.folder = ROOT / "build" / "grade" / secrets.token_hex(4)
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o711)
        self.addCleanup(shutil.rmtree, self.folder)
        self.sandbox = Sandbox(self.folder, 3_000_000 + 3 * secrets.randbelow(100_000))
        self.users = range(self.sandbox.first_user, self.sandbox.first_user + 3)

    def run_script(self, script, user=SUBMISSION_USER, **limits):
        limits.setdefault("seconds", 20)
        return self.sandbox.run(["sh", "-c", script], user, Limits(**limits), {})

    def test_all_are_active_here(self):
        protections = probe(self.folder, self.sandbox.first_user)
        self.assertTrue(protections.has_base, protections.missing)
        self.assertEqual(protections.missing, ())

    def test_all_three_users_are_nobody_outside(self):
        for user in (CHECK_USER, SUBMISSION_USER, SERVER_USER):
            self.assertEqual(self.run_script("id -u", user).output, f"{user}\n")
            self.assertIn("Permission denied", self.run_script("cat /etc/shadow", user).output)
            self.assertIn("Permission denied", self.run_script(f"touch {ROOT}/x 2>&1", user).output)

    def test_homes_and_temporary_files_are_hidden(self):
        with tempfile.TemporaryDirectory() as mine:
            outcome = self.run_script(f"ls -A /root /home /tmp; ls -d {mine}")
            self.assertIn("cannot access", outcome.output)
        self.assertEqual(self.run_script("ls -A /root /home/ /tmp | grep -v :").output.strip(), "")

    def test_two_serve_the_same_port_and_nothing_outside_is_reached(self):
        script = ("import http.server, threading, urllib.request\n"
                  "server = http.server.HTTPServer(('127.0.0.1', 5000), http.server.SimpleHTTPRequestHandler)\n"
                  "threading.Thread(target=server.serve_forever, daemon=True).start()\n"
                  "print(urllib.request.urlopen('http://127.0.0.1:5000/').status)\n"
                  "import time; time.sleep(1)\n"
                  "import socket\n"
                  "try: socket.create_connection(('192.0.2.1', 80), 2)\n"
                  "except OSError as error: print(error.strerror)\n")
        outputs = []

        def serve():
            outputs.append(self.sandbox.run([PYTHON, "-c", script], SUBMISSION_USER, Limits(20), {}).output)

        threads = [threading.Thread(target=serve) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for output in outputs:
            self.assertIn("200", output)
            self.assertIn("Network is unreachable", output)

    def test_orphan_ends_with_the_sandbox(self):
        outcome = self.run_script("setsid sh -c 'sleep 77 & sleep 77' & sleep 77", seconds=1)
        self.assertTrue(outcome.timed_out)
        self.assertEqual(left_of(self.users), [])
        self.run_script("setsid sleep 77 >/dev/null 2>&1 & exit 0")
        self.assertEqual(left_of(self.users), [])

    def test_memory_is_bounded(self):
        hog = [PYTHON, "-c", "all = [bytearray(1 << 20) for _ in range(600)]; print('has it')"]
        for use_cgroup in (True, False):
            with self.subTest(use_cgroup=use_cgroup):
                self.sandbox.use_cgroup = use_cgroup
                slow = hog if use_cgroup else [*hog[:2], hog[2].replace("print", "import time; time.sleep(3); print")]
                outcome = self.sandbox.run(slow, SUBMISSION_USER, Limits(20, memory=200 << 20), {})
                self.assertTrue(outcome.out_of_memory)
                self.assertFalse(outcome.timed_out)
                self.assertNotIn("has it", outcome.output)
                self.assertEqual(left_of(self.users), [])

    def test_processes_are_bounded(self):
        outcome = self.run_script("for n in $(seq 40); do sleep 5 & done; wait", processes=20, seconds=10)
        self.assertIn("Cannot fork", outcome.output)

    def test_file_size_is_bounded(self):
        outcome = self.run_script("head -c 10000000 /dev/zero >/tmp/big; ls -l /tmp/big", file_size=1 << 20)
        self.assertIn(f" {1 << 20} ", outcome.output)

    def test_beginning_and_end_of_the_output_are_kept(self):
        outcome = self.run_script("echo first; head -c 50000000 /dev/zero | tr '\\0' x; echo; echo last")
        self.assertTrue(outcome.output.startswith("first\nxxx"))
        self.assertTrue(outcome.output.endswith("xxx\nlast\n"))
        self.assertLess(len(outcome.output), 2 * KEPT_OUTPUT + 100)
        self.assertIn("bytes left out", outcome.output)

    def test_others_results_cannot_be_read(self):
        results = self.folder / "results"
        results.mkdir()
        self.sandbox.give(results, CHECK_USER)
        self.assertEqual(self.run_script(f"echo mine > {results}/a && cat {results}/a", CHECK_USER).output, "mine\n")
        for user in (SUBMISSION_USER, SERVER_USER):
            self.assertIn("Permission denied", self.run_script(f"cat {results}/a 2>&1", user).output)

    def test_environment_of_the_machine_stays_outside(self):
        os.environ["CLASSROOM_SECRET"] = "x"
        self.addCleanup(os.environ.pop, "CLASSROOM_SECRET")
        self.assertNotIn("CLASSROOM_SECRET", self.run_script("env; cat /proc/1/environ").output)


if __name__ == "__main__":
    sys.exit(unittest.main())
