"""The exercises, as their folders below exercises/ describe them."""

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "exercises"
KINDS = ("change", "bug", "attack", "tests")
STORES = ("redis", "firestore")


class ExerciseError(Exception):
    """An exercise is described wrongly, or is unknown."""


@dataclass(frozen=True)
class Task:
    number: int
    title: str
    needs: tuple[int, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True)
class WrongWay:
    """A plausible mistake: a diff, the tasks that it fails, and why it is one."""

    name: str
    fails: tuple[int, ...]
    explain: str


@dataclass(frozen=True)
class ServerChoice:
    """A server that the check runs beside what the student wrote: a step, with a diff or as it is."""

    step: int
    diff: str | None


@dataclass(frozen=True)
class Exercise:
    name: str
    title: str
    step: int
    kind: str
    files: tuple[str, ...]
    minutes: int
    difficulty: int
    stores: tuple[str, ...]
    contract: bool
    start_fails: tuple[int, ...]
    explain: str
    tasks: tuple[Task, ...]
    wrong_ways: dict[str, WrongWay]
    servers: dict[str, ServerChoice]

    @property
    def folder(self) -> Path:
        return FOLDER / self.name

    @property
    def is_program(self) -> bool:
        """Whether what the student changes is a server, and not a script that is run against one."""
        return self.kind in ("change", "bug")

    def task(self, number: int) -> Task:
        return self.tasks[number - 1]


def step_folder(number: int) -> str:
    """The name of a step, which is its folder, target and program."""
    for folder in sorted(ROOT.glob(f"step{number}_*")):
        return folder.name
    raise ExerciseError(f"there is no step {number}")


def _load(path: Path) -> Exercise:
    def fail(what: str):
        raise ExerciseError(f"{path}: {what}")

    with path.open("rb") as file:
        try:
            table = tomllib.load(file)
        except tomllib.TOMLDecodeError as error:
            fail(str(error))
    known = {"title", "step", "kind", "files", "minutes", "difficulty", "stores", "contract", "start_fails", "explain",
             "task", "wrong", "servers"}
    if unknown := table.keys() - known:
        fail(f"unknown keys: {', '.join(sorted(unknown))}")
    try:
        tasks = tuple(
            Task(number, task["title"], tuple(task.get("needs", ())), tuple(task["hints"]))
            for number, task in enumerate(table["task"], 1))
        wrong_ways = {
            name: WrongWay(name, tuple(wrong["fails"]), wrong["explain"].strip())
            for name, wrong in table["wrong"].items()}
        servers = {
            role: ServerChoice(server["step"], server.get("diff")) for role, server in table.get("servers", {}).items()}
        exercise = Exercise(
            path.parent.name, table["title"], table["step"], table["kind"], tuple(table["files"]), table["minutes"],
            table["difficulty"], tuple(table.get("stores", ())), table.get("contract", False),
            tuple(table["start_fails"]), table["explain"].strip(), tasks, wrong_ways, servers)
    except KeyError as error:
        fail(f"{error} is missing")
    if exercise.kind not in KINDS:
        fail(f"kind is one of {', '.join(KINDS)}")
    if set(exercise.stores) - set(STORES):
        fail(f"stores are of {', '.join(STORES)}")
    for file in exercise.files:
        if Path(file).is_absolute() or ".." in Path(file).parts:
            fail(f"{file} is outside of the copy")
    for task in tasks:
        if not task.hints:
            fail(f"task {task.number} has no hint")
        if any(not 1 <= needed < task.number for needed in task.needs):
            fail(f"task {task.number} needs a task that does not come before it")
    diffs = {diff.stem for diff in (path.parent / "wrong").glob("*.diff")}
    if diffs != set(wrong_ways):
        fail(f"wrong/*.diff and [wrong.*] differ: {', '.join(sorted(diffs ^ set(wrong_ways)))}")
    return exercise


def load_all(folder: Path = FOLDER) -> dict[str, Exercise]:
    """All exercises by name, the easy ones first."""
    exercises = [_load(path) for path in folder.glob("*/exercise.toml")]
    exercises.sort(key=lambda one: (one.difficulty, one.step, one.name))
    return {exercise.name: exercise for exercise in exercises}


def load(name: str) -> Exercise:
    path = FOLDER / name / "exercise.toml"
    if "/" in name or not path.is_file():
        raise ExerciseError(f"there is no exercise '{name}'. They are: {', '.join(load_all())}")
    return _load(path)


def changed_since(commit: str) -> set[str]:
    """The names of the exercises in whose folders something differs from a commit of Git's."""
    result = subprocess.run(["git", "diff", "--name-only", commit, "--", FOLDER], cwd=ROOT, capture_output=True, text=True)
    if result.returncode != 0:
        raise ExerciseError(f"git cannot compare with {commit}: {result.stderr.strip()}")
    return {Path(file).parts[1] for file in result.stdout.splitlines()}
