"""What ./tutorial promises, tried as its user would."""

import http.cookiejar
import http.server
import json
import os
import pathlib
import re
import signal
import socket
import stat
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
DRIVER = str(ROOT / "tutorial")
PARTS = [ROOT / "tutorial", *sorted((ROOT / "driver").glob("*.sh"))]
PATIENCE = 60.0  # seconds


def environment(**changes):
    """The test's own environment without what would change what the driver starts."""
    inherited = {name: value for name, value in os.environ.items()
                 if name not in ("REDIS_URL", "SECRET_KEY", "SESSION_STORE", "HOST", "SESSION_TTL")}
    return inherited | {"PORT": "0"} | changes


def tutorial(*arguments):
    return subprocess.run([DRIVER, *arguments], capture_output=True, text=True, errors="replace",
                          timeout=PATIENCE * 4, env=environment(), check=False)


def call(script, **variables):
    """What some lines of bash do that know the driver's functions."""
    return subprocess.run(["bash", "-c", f". {DRIVER}\n{script}"], capture_output=True, text=True, timeout=PATIENCE,
                          env=environment(**variables), check=False)


def eventually(condition, what):
    """Returns the first true value of the condition."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"in vain waited for: {what}")


def start_time_of(process):
    """Tells a process from a later one of the same number; None once it has ended with all its threads."""
    try:
        fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return None
    state, threads, start_time = fields[0], fields[17], fields[19]
    # The first thread may be a zombie while others still hold the sockets.
    return None if state == "Z" and threads == "1" else start_time


def is_frozen(process):
    """True once SIGSTOP has reached each thread."""
    states = [path.read_text().rpartition(")")[2].split()[0] for path in
              pathlib.Path(f"/proc/{process}/task").glob("*/stat")]
    return set(states) == {"T"}


def children_of(process):
    text = "".join(path.read_text() for path in
                   pathlib.Path(f"/proc/{process}/task").glob("*/children"))
    direct = [int(number) for number in text.split()]
    return direct + [further for child in direct for further in children_of(child)]


class Visitor:
    """A browser as far as cookies and redirections go."""

    def __init__(self, url, cookies=None):
        self.url = url
        self.opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar() if cookies is None else cookies))

    def get(self, path="/"):
        with self.opener.open(self.url + path, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def log_in(self, name):
        form = urllib.parse.urlencode({"username": name}).encode()
        with self.opener.open(self.url + "/login", form, timeout=PATIENCE) as answer:
            return answer.read().decode()

    def visits(self):
        return int(re.search(r"Visits: (\d+)", self.get())[1])


class Running:
    """`./tutorial run ...` in a process group of its own, like a job at a terminal."""

    def __init__(self, *arguments):
        self.folder = tempfile.TemporaryDirectory()
        self.log = pathlib.Path(self.folder.name, "log")
        self.temporary = pathlib.Path(self.folder.name, "temporary")
        self.temporary.mkdir()
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [DRIVER, "run", *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=environment(TMPDIR=str(self.temporary)), start_new_session=True,
                # A job in the background of a script ignores it, and so would all that it starts.
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        try:
            self.url = eventually(self._address, f"the address in {self.text()}")
        except AssertionError:
            self.stop(signal.SIGTERM)
            raise
        self.started = {child: start_time_of(child) for child in children_of(self.process.pid)}

    def _address(self):
        if self.process.poll() is not None:
            raise AssertionError(f"./tutorial run ended: {self.text()}")
        found = re.search(r"^step\S+ listening on (http://\S+)$", self.text(), re.MULTILINE)
        return found and found[1]

    def text(self):
        return self.log.read_text() if self.log.exists() else self.last_words

    def instances(self):
        return [int(number) for number in re.findall(r"^instance .* process (\d+)$", self.text(),
                                                     re.MULTILINE)]

    def left(self):
        """What it has started and not stopped."""
        return [child for child, start in self.started.items() if start_time_of(child) == start]

    def stop(self, which=signal.SIGINT):
        """As Ctrl-C at a terminal does. Returns the exit status."""
        if not self.log.exists():
            return self.process.returncode
        if self.process.poll() is None:
            os.killpg(self.process.pid, which)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.files_left = list(self.temporary.iterdir())
            self.last_words = self.text()
            self.folder.cleanup()


class Usage(unittest.TestCase):
    def test_help_lists_every_verb(self):
        verbs = [verb for part in PARTS for verb in re.findall(r"^verb_(\w+)\(\)", part.read_text(), re.MULTILINE)]
        self.assertTrue({"setup", "run", "test", "lint", "check", "diff", "clean"} <= set(verbs))
        answer = tutorial("help")
        self.assertEqual(answer.returncode, 0)
        for verb in verbs:
            self.assertRegex(answer.stdout, rf"(?m)^  {verb}\b")

    def test_no_arguments_is_a_question_for_help(self):
        self.assertEqual(tutorial().stdout, tutorial("help").stdout)

    def test_wrong_usage_ends_with_a_hint(self):
        for arguments in (["dance"], ["run"], ["run", "9"], ["run", "three"], ["diff", "0"],
                          ["check", "3", "--ulr", "x"], ["run", "3", "--store", "redis"],
                          ["run", "5", "--store", "paper"], ["run", "5", "--instances", "none"],
                          ["run", "3", "--port"], ["test", "nothing"], ["test", "1", "--preset", "foo"],
                          ["test", "1", "--fast"], ["test", "1", "2"], ["lint", "1"]):
            with self.subTest(arguments=arguments):
                answer = tutorial(*arguments)
                self.assertEqual(answer.returncode, 2, answer.stderr)
                self.assertIn("./tutorial help", answer.stderr)

    def test_each_verb_explains_itself(self):
        answer = tutorial("run", "--help")
        self.assertEqual(answer.returncode, 0)
        self.assertIn("--secret-file FILE", answer.stdout)
        self.assertNotIn("--preset", answer.stdout)

    def test_a_step_may_be_named_as_one_likes(self):
        for name in ("3", "step3", "step3_ttl", "step3_ttl/"):
            self.assertEqual(call(f"step_name {name}").stdout, "step3_ttl\n", name)

    def test_diff_shows_what_a_step_adds(self):
        answer = tutorial("diff", "3")
        self.assertEqual(answer.returncode, 0)
        self.assertRegex(answer.stdout, r"(?m)^\+.*redis\.call\('EXPIRE'")
        self.assertNotRegex(answer.stdout, r"(?m)^[+-].*Application::logout")
        self.assertIn("step3_ttl/main.cpp", answer.stdout)
        self.assertNotRegex(answer.stdout, r"(?m)^[+-]// Step")

    def test_diff_compares_with_the_step_that_a_step_builds_on(self):
        for step, before in ((2, "step1_cookie_login"), (4, "step1_cookie_login"), (5, "step3_ttl")):
            self.assertTrue(tutorial("diff", str(step)).stdout.startswith(f"--- {before}/main.cpp\n"))
        self.assertNotIn("---", tutorial("diff", "1").stdout)

    def test_diff_maps_each_piece_once_and_says_what_is_yours(self):
        lines = tutorial("diff", "2").stdout.splitlines()
        pieces = lines[lines.index("Files that step2_redis_counter introduces:") + 1:-1]
        self.assertEqual([line.split()[0] for line in pieces],
                         sorted(path.name for path in (ROOT / "step2_redis_counter").glob("*.hpp")))
        for line in pieces:
            self.assertRegex(line, r"^  \S+\.[ch]pp +[A-Z]\S* .+", "the first line of its header")
        self.assertTrue(lines[-1].startswith("Yours to change: step2_redis_counter/main.cpp"))


class Run(unittest.TestCase):
    def test_serves_until_ctrl_c_and_leaves_nothing(self):
        for which in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(signal=which.name):
                running = Running("3")
                try:
                    visitor = Visitor(running.url)
                    self.assertIn("Logged in as alice", visitor.log_in("alice"))
                    self.assertEqual(visitor.visits(), 2)
                    self.assertGreaterEqual(len(running.left()), 2, "Redis and the server")
                finally:
                    status = running.stop(which)
                self.assertEqual(status, 0, running.text())
                self.assertEqual(running.left(), [])
                self.assertEqual(running.files_left, [])

    def test_options_go_on_to_the_server(self):
        answer = tutorial("run", "1", "--help")
        self.assertEqual(answer.returncode, 0)
        self.assertIn("--threads", answer.stdout)

    def test_refuses_a_port_that_is_taken(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            for arguments in (["1"], ["5", "--instances", "2"]):
                with self.subTest(arguments=arguments):
                    answer = tutorial("run", *arguments, "--port", port)
                    self.assertEqual(answer.returncode, 1)
                    self.assertEqual(answer.stdout, "")
                    self.assertIn(f"port {port} is taken", answer.stderr)

    def test_takes_the_next_port_that_is_free_and_says_so(self):
        taken = socket.socket()
        self.addCleanup(taken.close)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 5000))
            taken.listen()
        except OSError:
            pass  # somebody else has it: just as well
        # The inspector's own is usually 5001, where nobody listens yet.
        answer = call("port=; choose_port step5_sessionstore 127.0.0.1; free_port own 5001; echo $port $own", PORT="")
        port, own = map(int, answer.stdout.split())
        self.assertGreater(port, 5000)
        self.assertGreater(own, port)
        self.assertIn(f"Port 5000 is taken, so it is {port}\n", answer.stderr)

    def test_listens_where_it_is_told(self):
        for arguments in (["1"], ["5", "--instances", "2"]):
            with self.subTest(arguments=arguments):
                running = Running(*arguments, "--host", "127.0.0.2")
                self.addCleanup(running.stop)
                self.assertTrue(running.url.startswith("http://127.0.0.2:"), running.url)
                self.assertIn("You are not logged in", Visitor(running.url).get())

    def test_keeps_its_secret_in_a_file(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, "secret")
            cookies = http.cookiejar.CookieJar()
            for expected in ("You are not logged in", "Logged in as alice"):
                running = Running("1", "--secret-file", str(file))
                self.addCleanup(running.stop)
                self.assertNotIn("SECRET_KEY", running.text())
                visitor = Visitor(running.url, cookies)
                self.assertIn(expected, visitor.get())
                visitor.log_in("alice")
                running.stop()
            self.assertEqual(stat.S_IMODE(file.stat().st_mode), 0o600)

    def test_says_how_to_keep_a_secret(self):
        running = Running("1")
        self.addCleanup(running.stop)
        self.assertIn("--secret-file", running.text())

    def test_builds_and_starts_again_when_a_source_is_saved(self):
        running = Running("2", "--watch")
        self.addCleanup(running.stop)
        visitor = Visitor(running.url)
        visitor.log_in("alice")
        before = visitor.visits()
        eventually(lambda: "Watching" in running.text(), "the watch")
        (ROOT / "step2_redis_counter" / "main.cpp").touch()
        eventually(lambda: running.text().count("listening on") == 2, "the second start")
        self.assertEqual(visitor.visits(), before + 1, "the same port, store and secret")
        self.assertEqual(running.stop(), 0, running.text())

    def test_its_store_can_be_asked(self):
        running = Running("2")
        self.addCleanup(running.stop)
        Visitor(running.url).log_in("alice")
        answer = tutorial("redis", "hget", "user:alice", "visits")
        self.assertEqual(answer.stdout, '"1"\n', answer.stderr)
        running.stop()
        answer = tutorial("redis", "ping")
        self.assertEqual(answer.returncode, 1)
        self.assertIn("no step that uses Redis is running", answer.stderr)

    def test_its_firestore_can_be_asked(self):
        if call("find_emulator").returncode:
            self.skipTest("the Firestore emulator is not installed")
        running = Running("4")
        self.addCleanup(running.stop)
        written = json.loads(tutorial("firestore", "/sessions/x", 'greeting=Say "hi" \\o/', "views=41").stdout)
        read = json.loads(tutorial("firestore", "/sessions/x").stdout)
        self.assertEqual(read["fields"], {"greeting": {"stringValue": 'Say "hi" \\o/'}, "views": {"integerValue": "41"}})
        self.assertEqual(read["fields"], written["fields"])
        json.loads(tutorial("firestore", "/sessions/x", "views=42").stdout)
        self.assertEqual(json.loads(tutorial("firestore", "/sessions/x").stdout)["fields"]["views"], {"integerValue": "42"})


class Check(unittest.TestCase):
    def test_passes_against_a_running_step(self):
        running = Running("3")
        try:
            answer = tutorial("check", "3", "--url", running.url)
        finally:
            running.stop()
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertRegex(answer.stdout, r"This is a step 3: .* \(\d\d+ kept, ")

    def test_fails_against_something_else(self):
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0),
                                                 http.server.BaseHTTPRequestHandler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            answer = tutorial("check", "3", "--url", f"http://127.0.0.1:{server.server_port}")
        finally:
            server.shutdown()
            server.server_close()
        self.assertEqual(answer.returncode, 1, answer.stdout)
        self.assertIn("This is no step 3 yet: it breaks ", answer.stdout)
        self.assertIn("\npages.login-form (essential): ", answer.stdout)

    def test_says_that_nothing_answers(self):
        answer = tutorial("check", "3", "--url", "http://127.0.0.1:1")
        self.assertEqual(answer.returncode, 2, answer.stdout)
        self.assertIn("nothing answers at http://127.0.0.1:1", answer.stderr)


class Instances(unittest.TestCase):
    def setUp(self):
        self.running = Running("5", "--instances", "3", "--store", "redis")
        self.addCleanup(self.running.stop)

    def test_a_killed_instance_causes_no_error(self):
        visitor = Visitor(self.running.url)
        visitor.log_in("alice")
        first = visitor.visits()
        killed = self.running.instances()[1]
        os.killpg(killed, signal.SIGKILL)
        eventually(lambda: start_time_of(killed) is None, "the end of the instance")
        for expected in range(first + 1, first + 100):
            self.assertEqual(visitor.visits(), expected)
        self.running.stop()
        self.assertNotIn("Killed", self.running.text())

    def test_a_request_that_was_sent_is_not_repeated(self):
        visitor = Visitor(self.running.url)
        visitor.log_in("alice")
        before = visitor.visits()
        # A frozen instance is sent its share of requests; whether it counts them nobody can know.
        frozen = self.running.instances()[0]
        os.killpg(frozen, signal.SIGSTOP)
        eventually(lambda: is_frozen(frozen), "the instance that freezes")
        failures = []
        visits = []

        def visit():
            try:
                visits.append(visitor.visits())
            except urllib.error.HTTPError as error:
                failures.append(error.code)

        threads = [threading.Thread(target=visit) for _ in range(9)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(visits) == 6, "the answers of the other two")
        os.killpg(frozen, signal.SIGKILL)
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [502] * 3)
        self.assertEqual(sorted(visits), list(range(before + 1, before + 7)))
        self.assertEqual(visitor.visits(), before + 7)

    def test_ctrl_c_stops_nginx_and_all_instances(self):
        self.assertEqual(len(self.running.instances()), 3)
        self.assertEqual(self.running.stop(), 0, self.running.text())
        self.assertEqual(self.running.left(), [])
        self.assertEqual(self.running.files_left, [])


if __name__ == "__main__":
    unittest.main()
