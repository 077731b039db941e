"""Builds a step's program from changed sources, against the step's own libraries.

The commands are those of the readers' build, so that flags and precompiled header are the step's own, and only what has
changed is compiled: from saving to a program it takes some four seconds. An object that stands before a library on the
linker's command line takes the place of the library's member of the same symbols.
"""

import hashlib
import json
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .catalogue import ROOT, ExerciseError, step_folder

# An operation in the place of its result: GCC fills a screen about it, and does not say what is missing.
NOT_AWAITED = re.compile(r"\bT = (?:const )?asio::awaitable<|cannot convert \Wasio::awaitable<")
INCLUDE = re.compile(rb'^\s*#\s*include\s+"([^"]+)"', re.MULTILINE)

Run = Callable[[Sequence[str], Path], subprocess.CompletedProcess]


class DoesNotCompile(Exception):
    """What the compiler or the linker said."""


@dataclass(frozen=True)
class Build:
    """A configured build of the suite."""

    preset: str

    @property
    def folder(self) -> Path:
        return ROOT / "build" / self.preset

    def make(self, *targets: str) -> None:
        """Brings targets up to date; shows what is done only if something is."""
        if not (self.folder / "build.ninja").exists():
            subprocess.run(["cmake", "--preset", self.preset], cwd=ROOT, check=True)
        command = ["cmake", "--build", "--preset", self.preset, "--target", *targets]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                if not any(noise in line for noise in ("no work to do", "Re-checking globbed", "GLOB mismatch")):
                    print(line, end="", flush=True)
        if process.returncode != 0:
            raise ExerciseError("the suite itself does not build; the messages are above")

    def program(self, step: int) -> Path:
        return self.folder / "bin" / step_folder(step)

    def sanitizer_options(self) -> dict[str, str]:
        """The environment that the tests give to programs with a sanitizer."""
        return dict(line.split("=", 1) for line in (self.folder / "sanitizers.env").read_text().splitlines())

    def check(self, exercise: str) -> Path:
        return self.folder / "bin" / f"check_{exercise}"


READERS = Build("tutorial")


def _compile_commands(build: Build) -> dict[Path, list[str]]:
    with (build.folder / "compile_commands.json").open() as file:
        return {Path(entry["file"]): shlex.split(entry["command"]) for entry in json.load(file)}


def _link_command(build: Build, step: int) -> list[str]:
    listing = subprocess.run(
        ["ninja", "-C", build.folder, "-t", "commands", step_folder(step)],
        capture_output=True, text=True, check=True).stdout
    command = listing.strip().splitlines()[-1]
    return [word for word in shlex.split(command) if word not in (":", "&&")]


def _affected(folder: Path, folders: set[str], changed: set[str]) -> set[str]:
    """The sources that have changed or include, directly or not, a header that has."""
    includes = {}
    by_name = {}
    for name in folders:
        for file in (folder / name).glob("*.[ch]pp"):
            path = f"{name}/{file.name}"
            includes[path] = {include.decode() for include in INCLUDE.findall(file.read_bytes())}
            by_name.setdefault(file.name, path)
    affected = {path for path in changed if path in includes}
    while True:
        names = {Path(path).name for path in affected if path.endswith(".hpp")}
        more = {path for path, included in includes.items() if included & names} - affected
        if not more:
            return {path for path in affected if path.endswith(".cpp")}
        affected |= more


def explained(said: str) -> str:
    """What the compiler said, and after it what that means where it is not plain."""
    hint = "Is a co_await missing? What is not awaited is an asio::awaitable, not its result.\n"
    return said + (hint if NOT_AWAITED.search(said) else "")


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace")


def build_program(build: Build, step: int, tree: Path, changed: Sequence[str], output: Path, run: Run = _run,
                  other_output: Path | None = None) -> Path:
    """Makes `output`/program from a tree of sources of which `changed` differ from the steps'. The step's own program
    has to be up to date. What was compiled before from the same sources, here or for `other_output`, is taken again."""
    if not changed:
        return build.program(step)
    link = _link_command(build, step)
    main_object = f"{step_folder(step)}/CMakeFiles/{step_folder(step)}.dir/main.cpp.o"
    folders = {step_folder(step)} | {Path(word).parts[0] for word in link if re.match(r"step\d\w*/lib\w+\.a$", word)}
    sources = sorted(_affected(tree, folders, set(changed)))
    commands = _compile_commands(build)
    launcher = os.environ.get("CMAKE_CXX_COMPILER_LAUNCHER") if run is _run else None
    headers = b"".join((tree / file).read_bytes() for file in changed if file.endswith(".hpp"))
    output.mkdir(parents=True, exist_ok=True)

    def compile_one(source: str) -> tuple[str, str]:
        """Returns the object and what it was made from."""
        name = source.replace("/", "-") + ".o"
        target = output / name
        command = []
        for word in commands[ROOT / source]:
            if word == "-Werror":  # of CI's build; a skeleton has parameters that nothing uses yet
                continue
            if word == str(ROOT / source):
                word = str(tree / source)
            elif word.startswith(f"-I{ROOT}/step"):
                word = f"-I{tree}/{word.removeprefix(f'-I{ROOT}/')}"
            elif word.endswith("main.cpp.o") or word.endswith(f"{Path(source).name}.o"):
                word = str(target)
            command.append(word)
        content = hashlib.sha256(headers + (tree / source).read_bytes()).hexdigest()
        key = f"{content} {' '.join(commands[ROOT / source])} {(build.program(step)).stat().st_mtime_ns}"
        for known in (target, other_output / name if other_output else target):
            stamp = known.with_suffix(".stamp")
            if known.exists() and stamp.exists() and stamp.read_text() == key:
                return str(known), key
        result = run(([launcher] if launcher else []) + command, build.folder)
        if result.returncode != 0:
            raise DoesNotCompile(explained(result.stderr.replace(f"{tree}/", "")))
        if run is _run:
            target.with_suffix(".stamp").write_text(key)
        return str(target), key

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = dict(pool.map(compile_one, sources))
    program = output / "program"
    words = []
    for word in link:
        if word == main_object:
            words += objects
            if f"{step_folder(step)}/main.cpp" not in sources:
                words.append(word)
        else:
            words.append(word)
    words[words.index("-o") + 1] = str(program)
    stamp = program.with_suffix(".stamp")
    key = f"{' '.join(words)} {' '.join(objects.values())}"
    if run is _run and program.exists() and stamp.exists() and stamp.read_text() == key:
        return program
    result = run(words, build.folder)
    if result.returncode != 0:
        raise DoesNotCompile(result.stderr.replace(f"{tree}/", ""))
    if run is _run:
        stamp.write_text(key)
    return program
