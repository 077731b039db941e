"""Processes that the benchmark starts, and what they use."""

import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

START_SECONDS = 30
STOP_SECONDS = 15


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Process:
    """A program with its children, stopped when the `with` block ends."""

    def __init__(self, command, environment=None):
        self.log = tempfile.TemporaryFile()
        self.popen = subprocess.Popen(
            [str(word) for word in command],
            env=os.environ | (environment or {}),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends the program and whatever it has started."""
        try:
            os.killpg(self.popen.pid, signal.SIGTERM)
            self.popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.popen.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        self.log.close()

    def output(self):
        self.log.seek(0)
        return self.log.read().decode(errors="replace")

    def wait_until(self, is_ready):
        deadline = time.monotonic() + START_SECONDS
        while not is_ready():
            if self.popen.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{self.popen.args[0]} did not start:\n{self.output()}")
            time.sleep(0.02)

    def resident_mib(self):
        """Resident memory. Processes that share pages count each page once."""
        members = _members(self.popen.pid)
        kind = "Rss:" if len(members) == 1 else "Pss:"
        return sum(_memory_kib(pid, kind) for pid in members) / 1024


def _members(group):
    members = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group and fields[0] != "Z":
            members.append(int(stat.parent.name))
    return members


def _memory_kib(pid, kind):
    try:
        lines = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0  # it has just ended
    return sum(int(line.split()[1]) for line in lines if line.startswith(kind))


def answers_http(port):
    """A check for Process.wait_until()."""

    def is_ready():
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/")
            return connection.getresponse().status == 200
        except OSError:
            return False

    return is_ready


def accepts(port):
    """A check for Process.wait_until()."""

    def is_ready():
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True
        except OSError:
            return False

    return is_ready


def redis(port):
    """A Redis of our own that keeps nothing on disk."""
    folder = tempfile.gettempdir()
    process = Process(["redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "",
                       "--appendonly", "no", "--dir", folder])
    process.wait_until(accepts(port))
    return process


def find_firestore_emulator():
    """The start script of Google's emulator in the Cloud SDK, or None."""
    script = "platform/cloud-firestore-emulator/cloud_firestore_emulator"
    gcloud = shutil.which("gcloud")
    roots = [pathlib.Path("/usr/lib/google-cloud-sdk"), pathlib.Path.home() / "google-cloud-sdk"]
    if gcloud:
        roots.insert(0, pathlib.Path(gcloud).resolve().parent.parent)
    return next((root / script for root in roots if (root / script).exists()), None)


def firestore_emulator(port):
    """Google's Firestore emulator."""
    program = find_firestore_emulator()
    if program is None:
        raise RuntimeError("The Firestore emulator is not installed. Run ./tutorial setup")
    process = Process([program, "start", "--host=127.0.0.1", f"--port={port}"])
    process.wait_until(answers_http(port))
    return process


def delay_proxy(program, port, target_port, microseconds):
    """Delays each direction to a server by the given time."""
    process = Process([program, port, target_port, microseconds])
    process.wait_until(accepts(port))
    return process
