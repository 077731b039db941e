"""The steps that are broken on purpose do break, and what a reader begins to type from compiles and lacks its idea."""

import concurrent.futures
import contextlib
import io
import os
import pathlib
import re
import select
import shutil
import socket
import subprocess
import tempfile
import unittest
from unittest import mock

from exercises.tool import tree, variants
from exercises.tool.builder import READERS, DoesNotCompile
from exercises.tool.catalogue import ROOT, ExerciseError, step_folder
from tests.driver.test_driver import DRIVER, PATIENCE, Running, Visitor, call, environment, eventually, tutorial

STEP_OF = {"blocking": 2, "isolation": 3, "naive-update": 4}  # where the text runs each of them
STEPS_TO_TYPE = (2, 3, 4, 5)


def connected(url):
    host, port = url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), PATIENCE)


def cookie_of(url, name):
    form = f"username={name}"
    with connected(url) as connection:
        connection.sendall((f"POST /login HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {len(form)}\r\n"
                            f"Content-Type: application/x-www-form-urlencoded\r\n\r\n{form}").encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    return re.search(r"Set-Cookie: (session=[^;]*)", answer)[1]


def send(connection, path, cookie=""):
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n".encode())


def redis(*words):
    answer = tutorial("redis", *words)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


class PausedRedis:
    """What writes to the Redis of the running step waits until the end."""

    def __enter__(self):
        redis("client", "pause", "60000", "write")
        return self

    def __exit__(self, *_):
        redis("client", "unpause")

    def wait_for_command(self):
        eventually(lambda: re.search(r"flags=\w*b", redis("client", "list")), "a command that waits in Redis")


def server_of(running):
    """The process number of the step's server."""
    for process in running.started:
        with contextlib.suppress(FileNotFoundError):
            words = pathlib.Path(f"/proc/{process}/cmdline").read_text().split("\0")
            if "--port" in words and not words[0].endswith("redis-server"):
                return process
    raise AssertionError("the step is not running")


def sockets_of(process):
    links = []
    for path in pathlib.Path(f"/proc/{process}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            links.append(os.readlink(path))
    return sum(link.startswith("socket:") for link in links)


def who_gets_what_alice_asked_for(*arguments):
    """Alice hangs up while Redis is slow, mallory comes after her: the name on the page that he gets."""
    running = Running("3", *arguments)
    try:
        alice_cookie, mallory_cookie = cookie_of(running.url, "alice"), cookie_of(running.url, "mallory")
        server = server_of(running)
        with PausedRedis() as store:
            alice = connected(running.url)
            send(alice, "/", alice_cookie)
            store.wait_for_command()
            before = sockets_of(server)
            alice.close()
            eventually(lambda: sockets_of(server) < before, "the server to close alice's connection")
            mallory = connected(running.url)
            send(mallory, "/", mallory_cookie)
        mallory.settimeout(PATIENCE)
        with mallory:
            answer = mallory.recv(65536).decode()
        return re.search(r"Logged in as (\w+)|503", answer)[0]
    finally:
        running.stop()


def login_page_waits_for_alice(*arguments):
    """Whether one worker thread answers /login only after alice, who waits for a Redis that is paused."""
    running = Running("2", "--threads", "1", *arguments)
    try:
        cookie = cookie_of(running.url, "alice")
        with PausedRedis() as store, connected(running.url) as alice, connected(running.url) as other:
            send(alice, "/", cookie)
            store.wait_for_command()
            send(other, "/login")
            ready, _, _ = select.select([alice, other], [], [], PATIENCE)
            return alice in ready
    finally:
        running.stop()


class Broken(unittest.TestCase):
    def test_each_is_known_here_and_says_what_it_is(self):
        self.assertEqual({diff.stem for diff in variants.BROKEN.glob("*.diff")}, set(STEP_OF))
        for name in STEP_OF:
            self.assertRegex(variants.headline(variants.broken_diff(name)), r"^[a-z].*\.$")

    def test_each_still_applies(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, step in STEP_OF.items():
                with self.subTest(name):
                    variants.write_broken(step, name, pathlib.Path(folder, "src"))

    def test_one_that_another_step_has_is_refused(self):
        with tempfile.TemporaryDirectory() as folder, self.assertRaisesRegex(ExerciseError, "is for step 2, not for step 3"):
            variants.write_broken(3, "blocking", pathlib.Path(folder, "src"))
        answer = tutorial("run", "3", "--broken", "promises")
        self.assertEqual(answer.returncode, 2)
        self.assertIn("isolation", answer.stderr)

    def test_isolation_shows_a_page_to_a_stranger(self):
        # On a starved machine alice's second is over before mallory comes: then what is shown is her 503.
        pages = (who_gets_what_alice_asked_for("--broken", "isolation") for _ in range(5))
        self.assertTrue(any(page == "Logged in as alice" for page in pages), "five times in vain")
        self.assertIn(who_gets_what_alice_asked_for(), ("Logged in as mallory", "503"))

    def test_blocking_lets_everybody_wait(self):
        self.assertTrue(login_page_waits_for_alice("--broken", "blocking"))
        self.assertTrue(any(not login_page_waits_for_alice() for _ in range(5)), "five times in vain")

    def test_naive_update_loses_views(self):
        if call("find_emulator").returncode:
            self.skipTest("the Firestore emulator is not installed")
        running = Running("4", "--broken", "naive-update")
        self.addCleanup(running.stop)
        visitor = Visitor(running.url)
        visitor.get()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda _: visitor.get(), range(200)))
        views = int(re.search(r"(\d+) views", visitor.get())[1])
        self.assertLess(views, 202)


class Start(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def start(self, step):
        """Lays out my/stepN in the test's folder, and returns the file and what was said."""
        mine = self.folder / f"step{step}"
        said = io.StringIO()
        with mock.patch.object(variants, "my_folder", lambda _: mine), contextlib.redirect_stdout(said):
            variants.start(step)
        return mine / "main.cpp", said.getvalue()

    def test_a_skeleton_is_the_step_but_for_the_lines_that_are_marked(self):
        for step in STEPS_TO_TYPE:
            with self.subTest(step=step):
                hunks = (variants.START / f"step{step}.diff").read_text().split("\n@@")[1:]
                changed = [line for hunk in hunks for line in hunk.splitlines()[1:] if line[:1] in "+-"]
                marks = [line for line in changed if re.match(r"\+ *// YOURS: .*\.$", line)]
                stubs = [line for line in changed if line.startswith("+") and line not in marks]
                self.assertGreaterEqual(len(marks), 1)
                self.assertLessEqual(len(stubs), 3, "what stands in for it until it is typed")
                self.assertLessEqual(len(changed) - len(marks) - len(stubs), 16, "what the reader types")

    def test_a_skeleton_compiles_and_lacks_something(self):
        for step in STEPS_TO_TYPE:
            with self.subTest(step=step):
                READERS.make(step_folder(step))
                name = f"step{step}-skeleton"
                variants.write_skeleton(step, variants.WORKING / name / "src")
                self.assertEqual(tree.changed_files(variants.WORKING / name / "src"), [f"{step_folder(step)}/main.cpp"])
                self.assertTrue(variants.build(step, name).exists())

    def test_lays_out_a_file_that_shows_where_to_type(self):
        file, said = self.start(3)
        self.assertNotIn("//! [", file.read_text())
        self.assertNotIn("EXPIRE", file.read_text())
        number = next(i for i, line in enumerate(file.read_text().splitlines(), 1) if "YOURS" in line)
        self.assertIn(f"line {number}: count the visit in KEYS[1]", said)

    def test_leaves_alone_what_is_there(self):
        file, _ = self.start(2)
        file.write_text("// mine\n")
        _, said = self.start(2)
        self.assertIn("is there already", said)
        self.assertEqual(file.read_text(), "// mine\n")

    def test_what_is_typed_as_the_step_is_the_step(self):
        file, _ = self.start(3)
        shutil.copyfile(ROOT / "step3_ttl" / "main.cpp", file)
        with mock.patch.object(variants, "my_folder", lambda _: file.parent):
            variants.write_mine(3, self.folder / "src")
        self.assertEqual(tree.changed_files(self.folder / "src"), [])

    def test_a_missing_co_await_is_named(self):
        READERS.make(step_folder(2))
        main = variants.WORKING / "step2-forgotten" / "src" / step_folder(2) / "main.cpp"
        for kind in ("auto", "int"):
            with self.subTest(kind=kind):
                tree.copy_steps(variants.WORKING / "step2-forgotten" / "src")
                main.write_text(main.read_text().replace("auto visits = co_await", f"{kind} visits ="))
                with self.assertRaisesRegex(DoesNotCompile, "Is a co_await missing"):
                    variants.build(2, "step2-forgotten")

    def test_step_without_anything_to_type_is_an_error(self):
        with self.assertRaisesRegex(ExerciseError, "nothing to type in step 1"):
            variants.start(1)

    def test_what_is_mine_is_run_and_compared(self):
        mine = ROOT / "my" / "step2"
        if mine.exists():
            self.skipTest("my/step2 is somebody's own")
        self.addCleanup(shutil.rmtree, mine)
        self.assertEqual(tutorial("start", "2").returncode, 0)
        running = Running("2", "--mine")
        self.addCleanup(running.stop)
        visitor = Visitor(running.url)
        visitor.log_in("alice")
        self.assertEqual(visitor.visits(), 0, "nothing is counted yet")
        self.assertIn("hincrby", tutorial("diff", "2", "--mine").stdout)

    def test_what_does_not_compile_yet_waits_for_the_next_save(self):
        mine = ROOT / "my" / "step2"
        if mine.exists():
            self.skipTest("my/step2 is somebody's own")
        self.addCleanup(shutil.rmtree, mine)
        mine.mkdir(parents=True)
        (mine / "main.cpp").write_text("not yet\n")
        log = self.folder / "log"
        with log.open("w") as file:
            process = subprocess.Popen([DRIVER, "run", "2", "--mine", "--watch"], stdout=file, stderr=file,
                                       stdin=subprocess.DEVNULL, env=environment())
        try:
            eventually(lambda: "Save a source" in log.read_text(), "the compiler's verdict")
            self.assertIn("my/step2/main.cpp:1", log.read_text())
            shutil.copyfile(ROOT / "step2_redis_counter" / "main.cpp", mine / "main.cpp")
            eventually(lambda: " listening on " in log.read_text(), "the server")
        finally:
            process.terminate()
            process.wait(PATIENCE)

    def test_firestore_is_asked_as_a_transaction_does(self):
        if call("find_emulator").returncode:
            self.skipTest("the Firestore emulator is not installed")
        running = Running("4")
        self.addCleanup(running.stop)
        tutorial("firestore", "/sessions/x", "views=1", "greeting=hi")
        version = re.search(r"updateTime +(\S+)", tutorial("firestore", "read", "x").stdout)[1]
        tutorial("firestore", "/sessions/x", "views=2")
        refused = tutorial("firestore", "commit", "x", "views", "41", version)
        self.assertEqual(refused.returncode, 1)
        self.assertIn("refused: FAILED_PRECONDITION", refused.stdout)
        read = tutorial("firestore", "read", "x").stdout
        self.assertRegex(read, r"(?m)^views +2$")
        version = re.search(r"updateTime +(\S+)", read)[1]
        self.assertEqual(tutorial("firestore", "commit", "x", "views", "41", version).returncode, 0)
        self.assertRegex(tutorial("firestore", "read", "x").stdout, r"(?m)^greeting +hi\nviews +41$")
        self.assertEqual(tutorial("firestore", "commit", "x").returncode, 2)


if __name__ == "__main__":
    unittest.main()
