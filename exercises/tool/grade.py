"""./tutorial grade: many submissions, each as untrusted as the next."""

import json
import os
import secrets
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import tree
from .builder import READERS, DoesNotCompile, build_program
from .catalogue import ROOT, Exercise, ExerciseError, load
from .checking import build_servers, make_ready
from .formats import FORMATS
from .sandbox import CHECK_USER, SERVER_USER, SUBMISSION_USER, Limits, Outcome, Protections, Sandbox, as_user, probe
from .verdict import FAILED, NOT_CHECKED, PASSED, Scenario, judge, read_scenarios

COMPILE = Limits(seconds=90, memory=2 << 30)
CHECK = Limits(seconds=150)
PROGRAM = Limits(seconds=150, memory=0, processes=80, file_size=16 << 20)
MAX_SOURCE = 1 << 20  # bytes of one file
FIRST_USERS = range(1_000_000, 2_000_000)


class Refused(Exception):
    """What was handed in is not what the exercise asks for."""


@dataclass
class TaskGrade:
    number: int
    title: str
    status: str
    score: float
    max_score: float
    message: str
    scenarios: list[dict] = field(default_factory=list)


@dataclass
class Grade:
    """Of one submission. `status` is passed, failed, or error with a `reason`: it could not be checked."""

    name: str
    status: str
    reason: str
    score: float
    max_score: float
    seconds: float
    output: str
    tasks: list[TaskGrade]


def take_files(exercise: Exercise, source: Path, target: Path) -> None:
    """Copies the exercise's files, and nothing else. Throws Refused for what is no ordinary file."""
    for name in exercise.files:
        path = source
        for part in Path(name).parts:
            path = path / part
            if path.is_symlink():
                raise Refused(f"{name}: {path.relative_to(source)} is a link")
        # A file handed in without its folder is as good.
        if not path.exists() and (source / Path(name).name).is_file() and not (source / Path(name).name).is_symlink():
            path = source / Path(name).name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            raise Refused(f"{name} is missing") from None
        except OSError as error:
            raise Refused(f"{name}: {error.strerror}") from None
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            os.close(descriptor)
            raise Refused(f"{name} is {'a hard link' if stat.S_ISREG(status.st_mode) else 'no ordinary file'}")
        with os.fdopen(descriptor, "rb") as file:
            content = file.read(MAX_SOURCE + 1)
        if len(content) > MAX_SOURCE:
            raise Refused(f"{name} is larger than {MAX_SOURCE >> 20} MiB")
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_bytes(content)


def other_files(exercise: Exercise, source: Path) -> list[str]:
    """What was handed in beside the exercise's files; it is not looked at."""
    taken = set(exercise.files) | {Path(name).name for name in exercise.files}
    return sorted(str(path.relative_to(source)) for path in source.rglob("*")
                  if (path.is_symlink() or not path.is_dir()) and str(path.relative_to(source)) not in taken)[:20]


class Grader:
    """Grades submissions of one exercise, one after the other."""

    def __init__(self, exercise: Exercise, seeds: Sequence[str], trust: bool = False, use_cgroup: bool = True):
        self.exercise, self.seeds, self.trust = exercise, seeds, trust
        self.build = READERS
        make_ready(self.build, exercise)
        self.servers = build_servers(self.build, exercise)
        self.folder = ROOT / "build" / "grade" / secrets.token_hex(4)
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o711)
        # Users of no other run: limits on processes count per user.
        first_user = FIRST_USERS.start + 3 * secrets.randbelow(len(FIRST_USERS) // 3)
        self.protections = Protections((), ("all of them: --trust",), False, False) if trust else probe(
            self.folder, first_user)
        self.sandbox = None if trust else Sandbox(self.folder, first_user, use_cgroup=use_cgroup)
        if not trust and not self.protections.has_base:
            self.close()
            raise ExerciseError(
                "this machine cannot keep submissions apart from itself. Missing:\n"
                + "".join(f"  {what}\n" for what in self.protections.missing)
                + "Run as root (sudo ./tutorial grade …), or add --trust if you have read every submission.")

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, command: Sequence[str], user: int, limits: Limits, environment: dict[str, str], folder: Path) -> Outcome:
        if self.sandbox:
            return self.sandbox.run(command, user, limits, environment, folder)
        try:
            result = subprocess.run(command, cwd=folder, env={"PATH": os.environ["PATH"], **environment},
                                    capture_output=True, text=True, errors="replace", timeout=limits.seconds)
            return Outcome(result.returncode, result.stdout + result.stderr)
        except subprocess.TimeoutExpired:
            return Outcome(124, "", timed_out=True)

    def _compile(self, work: Path) -> Path:
        """Builds the submission inside the sandbox. Throws Refused with what it is instead of a program."""
        source, output = work / "src", work / "out"
        output.mkdir()
        if self.sandbox:
            self.sandbox.give(output, SUBMISSION_USER)
        temporary = {"TMPDIR": str(output), "HOME": str(output)}

        def run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess:
            outcome = self._run(command, SUBMISSION_USER, COMPILE, temporary, folder)
            if outcome.timed_out:
                raise Refused(f"compiling it took more than {COMPILE.seconds} s")
            if outcome.out_of_memory:
                raise Refused(f"compiling it took more than {COMPILE.memory >> 30} GiB of memory")
            return subprocess.CompletedProcess(command, outcome.exit_code, "", outcome.output)

        return build_program(self.build, self.exercise.step, source, tree.changed_files(source), output, run)

    def _check(self, work: Path, program: Path, seed: str) -> tuple[list[Scenario], Outcome]:
        folder = work / f"check-{seed}"
        folder.mkdir()
        environment = {"CHECK_SEED": seed, "CHECK_RESULTS": str(folder / "results"), "TMPDIR": str(folder),
                       "HOME": str(folder), "CI": "1"}
        environment |= {f"CHECK_{role.upper()}": str(path) for role, path in self.servers.items()}
        environment["CHECK_PROGRAM"] = str(program)
        if self.sandbox:
            self.sandbox.give(folder, CHECK_USER)
            environment["CHECK_PROGRAM_LAUNCHER"] = "\n".join(as_user(SUBMISSION_USER, PROGRAM))
            for role in self.servers:
                environment[f"CHECK_{role.upper()}_LAUNCHER"] = "\n".join(as_user(SERVER_USER, PROGRAM))
        outcome = self._run([str(self.build.check(self.exercise.name))], CHECK_USER, CHECK, environment, Path("/"))
        return read_scenarios(folder / "results"), outcome

    def grade(self, name: str, submission: Path) -> Grade:
        started = time.monotonic()
        work = self.folder / secrets.token_hex(4)
        work.mkdir()
        work.chmod(0o711)
        try:
            grade = self._grade(name, submission, work)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        grade.seconds = round(time.monotonic() - started, 2)
        return grade

    def _error(self, name: str, reason: str, output: str = "") -> Grade:
        tasks = [TaskGrade(task.number, task.title, NOT_CHECKED, 0, 1, reason) for task in self.exercise.tasks]
        return Grade(name, "error", reason, 0, len(tasks), 0, output, tasks)

    def _grade(self, name: str, submission: Path, work: Path) -> Grade:
        if not submission.is_dir() or submission.is_symlink():
            return self._error(name, "refused: no folder")
        source = work / "src"
        tree.write_start(self.exercise, source)
        try:
            take_files(self.exercise, submission, source)
        except Refused as reason:
            return self._error(name, f"refused: {reason}")
        _make_readable(source)
        if self.exercise.is_program:
            try:
                program = self._compile(work)
            except DoesNotCompile as error:
                return self._error(name, "does not compile", str(error))
            except Refused as reason:
                return self._error(name, str(reason))
        else:
            program = source / self.exercise.files[0]
            program.chmod(0o755)

        # A task is done if it is with every seed.
        by_seed = []
        notes: list[str] = []
        for seed in self.seeds:
            scenarios, outcome = self._check(work, program, seed)
            by_seed.append(judge(self.exercise, scenarios))
            if outcome.out_of_memory:
                notes.append("took too much memory")
            if outcome.out_of_processes:
                notes.append("started too many processes")
            if outcome.timed_out:
                notes.append(f"not done after {CHECK.seconds} s")
            # What fails with one seed is not tried with the next.
            if not by_seed[-1].passed:
                break
        verdict = by_seed[-1]
        tasks = []
        for task in verdict.tasks:
            failed = task.first_failed
            message = "" if task.status == PASSED else _message(self.exercise, failed) if failed else "not checked yet"
            tasks.append(TaskGrade(task.number, task.title, task.status, float(task.status == PASSED), 1.0, message,
                                   [asdict(scenario) for scenario in task.scenarios]))
            if failed and failed.wrong_way in ("does-not-start", "no-answer"):
                notes.append({"does-not-start": "does not start", "no-answer": "does not answer"}[failed.wrong_way])
        status = PASSED if verdict.passed else FAILED
        ignored = other_files(self.exercise, submission)
        return Grade(name, status, "; ".join(dict.fromkeys(notes)), sum(task.score for task in tasks), float(len(tasks)), 0,
                     f"Not looked at: {', '.join(ignored)}" if ignored else "", tasks)


def _make_readable(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)


def _message(exercise: Exercise, scenario: Scenario) -> str:
    lines = [*(f"{number}. {step}" for number, step in enumerate(scenario.steps, 1)), f"Expected: {scenario.expected}",
             f"Came: {scenario.came}"]
    if wrong := exercise.wrong_ways.get(scenario.wrong_way):
        lines.append(f"Known as {wrong.name}: {wrong.explain}")
    return "\n".join(lines)


def report(exercise: Exercise, seeds: Sequence[str], protections: Protections, grades: Sequence[Grade]) -> dict:
    """The one result from which every other form derives."""
    return {
        "version": 1, "exercise": exercise.name, "title": exercise.title, "check": f"exercises/{exercise.name}/check.cpp",
        "files": list(exercise.files), "seeds": list(seeds), "protections": list(protections.active),
        "missing_protections": list(protections.missing), "submissions": [asdict(grade) for grade in grades]}


def run(arguments) -> int:
    """Carries out `./tutorial grade`."""
    exercise = load(arguments.name)
    seeds = arguments.seed or [secrets.token_hex(4), secrets.token_hex(4)]
    grader = Grader(exercise, seeds, arguments.trust)
    try:
        print(f"Seeds: {', '.join(seeds)}", file=sys.stderr)
        for active in grader.protections.active:
            print(f"  active: {active}", file=sys.stderr)
        for missing in grader.protections.missing:
            print(f"  MISSING: {missing}", file=sys.stderr)
        grades = []
        names = [Path(folder).name for folder in arguments.folders]
        for name, folder in zip(names, arguments.folders):
            grade = grader.grade(name if names.count(name) == 1 else folder, Path(folder))
            print(f"  {grade.name}: {grade.score:g} of {grade.max_score:g}{f' ({grade.reason})' if grade.reason else ''}",
                  file=sys.stderr, flush=True)
            grades.append(grade)
            # Written after each: whoever stops here has what is done.
            result = report(exercise, seeds, grader.protections, grades)
            if arguments.output:
                Path(arguments.output).write_text(json.dumps(result, indent=2) + "\n")
    finally:
        grader.close()
    if arguments.format == "json" and arguments.output:
        return 0
    print(FORMATS[arguments.format](result), end="")
    return 0
