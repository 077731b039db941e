"""Runs the console blocks of tutorial.md in order and compares what they print.

A block consists of commands, `$ command`, each followed by its output. All blocks share one shell,
as if a reader typed them. `./tutorial run N` starts a server, which runs until the next one starts.
The servers and stores of the run have free ports; commands and outputs are translated between those
and the ports in the text. What differs from run to run is compared by named patterns: those below,
and those a block declares for itself in a comment above it:

    <!-- pattern: seconds = ([5-9]|10) -->
"""

import contextlib
import dataclasses
import os
import pathlib
import re
import selectors
import subprocess
import tempfile
import time

from tests.docs.document import ROOT, DocumentError, blocks_of
from tests.docs.running_step import RunningStep

PATTERNS = {
    "signed token": r"eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+",
    "date": r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} 20\d\d \d\d:\d\d:\d\d GMT",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
    "timestamp": r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    "time": r"20\d\d-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?",
    "seconds since 1970": r"\b[12]\d{9}\b",
    "milliseconds since 1970": r"\b[12]\d{12}\b",
    "token of a session": r"(?<![\w-])[\w-]{11}\.[\w-]{22}(?![\w-])",
    "secret of a session": r"(?<=\")[\w-]{22}(?=\")",
    "greeting": r"Hello World|Hallo Welt|Ciao Mondo|Salut le Monde|Hola Mundo",
}

# What `./tutorial run` prints of addresses and processes, and the number that the text has there.
_ADDRESSES = (
    (re.compile(r"step4\S* listening on http://127\.0\.0\.1:(\d+)"), "8080"),
    (re.compile(r"step[1235]\S* listening on http://127\.0\.0\.1:(\d+)"), "5000"),
    (re.compile(r"redis://127\.0\.0\.1:(\d+)"), "6379"),
    (re.compile(r"Firestore emulator is at 127\.0\.0\.1:(\d+)"), "8081"),
    *((re.compile(rf"Redis node {i}: 127\.0\.0\.1:(\d+)"), f"700{i}") for i in range(1, 7)),
    *((re.compile(rf"Redis node {i}: .*, process (\d+)"), f"4300{i}") for i in range(1, 7)),
    *((re.compile(rf"instance {i}: http://127\.0\.0\.1:(\d+)"), f"500{i}") for i in (1, 2, 3)),
    *((re.compile(rf"instance {i}: .*, process (\d+)"), f"4200{i}") for i in (1, 2, 3)),
)
_RUN = re.compile(r"^(?:[A-Z_]+=\S+ )*\./tutorial run ")
_PATTERN = re.compile(r"^(?P<name>[\w ]+) = (?P<expression>.+)$")
_COMMAND_SECONDS = 120


@dataclasses.dataclass
class Command:
    """One command of a block and the output that the text shows."""

    text: str
    output: list


def commands_of(lines, where):
    """The commands of a block. A command that ends with a backslash goes on in the next line."""
    commands = []
    continued = False
    for line in lines:
        if continued:
            commands[-1].text += "\n" + line
        elif line.startswith("$ "):
            commands.append(Command(line[2:], []))
        elif commands:
            commands[-1].output.append(line)
        else:
            raise DocumentError(f"{where}: a console block starts with a command")
        continued = (continued or line.startswith("$ ")) and line.endswith("\\")
    return commands


def lines_of(commands):
    """The block that shows these commands."""
    return [line for command in commands for line in [*f"$ {command.text}".splitlines(), *command.output]]


def patterns_of(block, where):
    """The patterns that hold in a block: the common ones and its own."""
    patterns = {}
    for kind, argument in block.directives:
        if kind == "pattern":
            match = _PATTERN.match(argument)
            if not match:
                raise DocumentError(f"{where}: a pattern has the form 'name = expression'")
            patterns[match["name"]] = match["expression"]
    return {**patterns, **PATTERNS}


def canonical(lines, patterns):
    """The lines with everything that a pattern covers replaced by the pattern's name."""
    text = "\n".join(line.rstrip() for line in lines)
    for name, expression in patterns.items():
        text = re.sub(expression, f"<{name}>", text, flags=re.MULTILINE)
    return text.splitlines()


class Ports:
    """Translates between the ports in the text and the real ones."""

    def __init__(self):
        self._real = {}

    def learn(self, lines):
        for line in lines:
            for address, port_in_text in _ADDRESSES:
                if match := address.search(line):
                    self._real[port_in_text] = match[1]

    def to_real(self, text):
        return self._replace(text, self._real)

    def to_text(self, text):
        return self._replace(text, {real: in_text for in_text, real in self._real.items()})

    @staticmethod
    def _replace(text, ports):
        return re.sub(r"(?<![\w.])\d{4,7}(?!\w|\.\d)", lambda match: ports.get(match[0], match[0]), text)


class Shell:
    """A bash that runs one command after another, in a folder of its own that looks like the repository."""

    def __init__(self, environment):
        self._files = tempfile.TemporaryDirectory(prefix="tutorial-")
        self.folder = pathlib.Path(self._files.name, "repository")
        self.folder.mkdir()
        for entry in ROOT.iterdir():
            if entry.name not in (".git", "tutorial"):
                (self.folder / entry.name).symlink_to(entry)
        # CMake's cache belongs to the real folder, so the driver runs from there.
        driver = self.folder / "tutorial"
        driver.write_text(f'#!/bin/sh\nexec "{ROOT}/tutorial" "$@"\n', encoding="utf-8")
        driver.chmod(0o755)
        self.environment = {**environment, "LC_ALL": "C.UTF-8"}
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=self.folder, env={**os.environ, **self.environment},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, bufsize=1)

    def run(self, command):
        """What a command prints, on both streams."""
        script = pathlib.Path(self._files.name, "command")
        output = pathlib.Path(self._files.name, "output")
        script.write_text(command + "\n", encoding="utf-8")
        self._bash.stdin.write(f'. "{script}" </dev/null >"{output}" 2>&1; echo\n')
        self._wait_for_line(command)
        return output.read_text(encoding="utf-8", errors="replace").replace("\r", "").splitlines()

    def close(self):
        self._bash.stdin.close()
        self._bash.wait(10)
        self._bash.stdout.close()
        self._files.cleanup()

    def _wait_for_line(self, command):
        with selectors.DefaultSelector() as selector:
            selector.register(self._bash.stdout, selectors.EVENT_READ)
            if not selector.select(_COMMAND_SECONDS):
                self._bash.kill()
                raise DocumentError(f"not finished after {_COMMAND_SECONDS} s: {command}")
        if not self._bash.stdout.readline():
            raise DocumentError(f"the shell ended at: {command}")


class Reader:
    """Types the commands of the documents, with a server in the other terminal."""

    def __init__(self):
        # Free ports, so that the test can run beside anything else.
        self._shell = Shell({"PORT": "0"})
        self._ports = Ports()
        self._server = None

    def run(self, command):
        started = time.monotonic()
        if _RUN.match(command):
            self._stop_server()
            self._server = RunningStep(command, cwd=self._shell.folder, env=self._shell.environment)
            output = self._server.output
            self._ports.learn(output)
        else:
            output = self._shell.run(self._ports.to_real(command))
        print(f"{time.monotonic() - started:6.2f} s  $ {command}", flush=True)
        return [self._ports.to_text(line) for line in output]

    def close(self):
        self._stop_server()
        self._shell.close()

    def _stop_server(self):
        if self._server:
            server, self._server = self._server, None
            status = server.stop()
            if status not in (0, 130):
                raise DocumentError("the server ended with {}:\n{}".format(status, "\n".join(server.log())))


def run_blocks(lines, name):
    """Runs all console blocks of a document.

    Returns the contents of each block as this run has them, None for other blocks, and as sentences where they differ
    from the text in more than patterns allow.
    """
    contents = []
    differences = []
    with contextlib.closing(Reader()) as reader:
        for block in blocks_of(lines, name):
            if block.language != "console":
                contents.append(None)
                continue
            where = f"{name}:{block.first + 1}"
            commands = commands_of(lines[block.first:block.last], where)
            patterns = patterns_of(block, where)
            for command in commands:
                output = reader.run(command.text)
                expected, actual = canonical(command.output, patterns), canonical(output, patterns)
                if expected != actual:
                    differences.append("\n".join(
                        [f"{where}: $ {command.text}", *(f"  text: {line}" for line in expected),
                         *(f"  real: {line}" for line in actual)]))
                command.output = output
            contents.append(lines_of(commands))
    return contents, differences
