"""Runs `./tutorial run N` as a reader does and stops it with Ctrl-C."""

import os
import queue
import re
import signal
import subprocess
import threading
import time

READY = re.compile(r"listening on http://127\.0\.0\.1:(?P<port>\d+)")


class RunningStep:
    """A step that is listening. Its standard output up to the line that says so is in `output`."""

    def __init__(self, command, *, cwd, env, timeout=600):
        self.output = []
        self._process = subprocess.Popen(
            ["bash", "-c", command], cwd=cwd, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, process_group=0)
        self._lines = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.port = self._wait_until_ready(time.monotonic() + timeout)
        except BaseException:
            self.stop()
            raise

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def log(self):
        """What it has written since it was ready."""
        lines = []
        while not self._lines.empty():
            line = self._lines.get()
            if line is not None:
                lines.append(line)
        return lines

    def stop(self, timeout=30):
        """Sends what Ctrl-C sends to everything in the foreground, and returns the exit code."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGINT)
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise
        finally:
            self._reader.join(5)
            self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def _read(self):
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def _wait_until_ready(self, deadline):
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0))
            except queue.Empty:
                raise RuntimeError("not ready in time:\n" + "\n".join(self.output)) from None
            if line is None:
                raise RuntimeError("ended before it was ready:\n" + "\n".join(self.output))
            self.output.append(line)
            if match := READY.search(line):
                return int(match["port"])
