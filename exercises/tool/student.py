"""./tutorial exercise: the student's loop."""

import json
import secrets
import sys
import textwrap
import time
from pathlib import Path

from . import tree
from .builder import READERS
from .catalogue import ROOT, Exercise, load, load_all
from .checking import check_copy, make_ready, share_emulator, working_folder
from .verdict import PASSED, Verdict, verdict_text

MY = ROOT / "my"
KIND_WORDS = {"change": "change", "bug": "find the bug", "attack": "attack", "tests": "write the tests"}


class Progress:
    """What this student has done so far, in my/progress.json."""

    def __init__(self, path: Path | None = None):
        self._path = path or MY / "progress.json"
        try:
            self._entries = json.loads(self._path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            self._entries = {}

    def of(self, exercise: str) -> dict:
        return self._entries.setdefault(exercise, {"passed": False, "tasks": [], "hints": {}, "solution": ""})

    def save(self) -> None:
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(self._entries, indent=2) + "\n")


def copy_of(exercise: Exercise) -> Path:
    return MY / exercise.name


def make_copy(exercise: Exercise) -> None:
    """Writes the files that may change, as they are at the start. Nothing that is there is overwritten."""
    folder = working_folder(READERS, exercise, "start") / "src"
    tree.write_start(exercise, folder)
    for file in exercise.files:
        target = copy_of(exercise) / file
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((folder / file).read_bytes())
            if not exercise.is_program:
                target.chmod(0o755)


def list_exercises(progress: Progress) -> None:
    """All exercises, what is done, and which comes next."""
    next_one = None
    for exercise in load_all().values():
        state = progress.of(exercise.name)
        if state["passed"]:
            mark = "done" + (" (solution seen first)" if state["solution"] == "before" else "")
        elif copy_of(exercise).exists():
            mark = f"begun, {len(state['tasks'])} of {len(exercise.tasks)} tasks"
        else:
            mark = ""
        if next_one is None and not state["passed"]:
            next_one = exercise.name
        print(f"  {'★' * exercise.difficulty:<4} step {exercise.step}  {exercise.minutes:>3} min  {exercise.name:<20} "
              f"{exercise.title} ({KIND_WORDS[exercise.kind]}){f': {mark}' if mark else ''}")
    print(f"\nNext: ./tutorial exercise {next_one}" if next_one else "\nAll of them are done.")


def give_hint(exercise: Exercise, progress: Progress) -> None:
    """The next hint of the first open task."""
    state = progress.of(exercise.name)
    task = next((task for task in exercise.tasks if task.number not in state["tasks"]), None)
    if task is None:
        print("Every task is done. ./tutorial exercise", exercise.name, "--solution shows one way to do it.")
        return
    given = state["hints"].get(str(task.number), 0)
    for number, hint in enumerate(task.hints[:given + 1], 1):
        print(f"Task {task.number}, hint {number} of {len(task.hints)}: {textwrap.fill(hint, 110)}")
    state["hints"][str(task.number)] = min(given + 1, len(task.hints))
    progress.save()


def show_solution(exercise: Exercise, progress: Progress, ask=input) -> None:
    state = progress.of(exercise.name)
    if not state["passed"]:
        answer = ask("This exercise is not done yet. Show the solution all the same? It is noted. [y/N] ")
        if answer.strip().lower() not in ("y", "yes"):
            return
        state["solution"] = "before"
    elif not state["solution"]:
        state["solution"] = "after"
    progress.save()
    print((exercise.folder / "solution.diff").read_text(), end="")


def reset(exercise: Exercise, progress: Progress) -> None:
    """The start again. What was there is kept beside it, under a name that ends in .before."""
    for file in exercise.files:
        path = copy_of(exercise) / file
        if path.exists():
            path.replace(path.with_name(path.name + ".before"))
    make_copy(exercise)
    progress.of(exercise.name)["tasks"] = []
    progress.save()
    print(f"my/{exercise.name} is as at the start; your files are beside it, ending in .before")


def after_success(exercise: Exercise) -> str:
    """The explanation, and the wrong ways with why they fail."""
    lines = [textwrap.fill(exercise.explain, 110), "", "Ways that do not work, and why:"]
    for wrong in exercise.wrong_ways.values():
        lines.append(textwrap.fill(f"- {wrong.name}: {wrong.explain}", 110, subsequent_indent="  "))
    return "\n".join([*lines, "", "What next: ./tutorial exercise"])


def check_once(exercise: Exercise, progress: Progress, seed: str) -> Verdict:
    started = time.monotonic()
    verdict = check_copy(READERS, exercise, copy_of(exercise), seed)
    print(verdict_text(exercise, verdict), end="")
    state = progress.of(exercise.name)
    state["tasks"] = [task.number for task in verdict.tasks if task.status == PASSED]
    state["passed"] = state["passed"] or verdict.passed
    progress.save()
    if verdict.passed:
        print(f"\n{after_success(exercise)}")
    print(f"(seed {seed}, {time.monotonic() - started:.1f} s)")
    return verdict


def _saved(exercise: Exercise) -> list[float]:
    return [(copy_of(exercise) / file).stat().st_mtime if (copy_of(exercise) / file).exists() else 0.0
            for file in exercise.files]


def watch(exercise: Exercise, progress: Progress) -> None:
    """Checks now and whenever one of the files is saved, until Ctrl-C or all is done."""
    while True:
        before = _saved(exercise)
        if check_once(exercise, progress, secrets.token_hex(4)).passed:
            return
        print("\nWaiting for you to save (Ctrl-C ends) …", flush=True)
        while _saved(exercise) == before:
            time.sleep(0.2)


def run(arguments) -> int:
    """Carries out `./tutorial exercise` with its options."""
    progress = Progress()
    if not arguments.names:
        list_exercises(progress)
        return 0
    exercise = load(arguments.names[0])
    if arguments.hint:
        give_hint(exercise, progress)
        return 0
    if arguments.solution:
        show_solution(exercise, progress)
        return 0
    if arguments.reset:
        reset(exercise, progress)
        return 0
    is_new = not copy_of(exercise).exists()
    make_copy(exercise)
    if is_new:
        print(f"Your copy is my/{exercise.name}. What to do: exercises/{exercise.name}/README.md\n")
    make_ready(READERS, exercise)
    if "firestore" in exercise.stores:
        share_emulator()
    if arguments.watch:
        try:
            watch(exercise, progress)
        except KeyboardInterrupt:
            print(file=sys.stderr)
        return 0
    return 0 if check_once(exercise, progress, arguments.seed or secrets.token_hex(4)).passed else 1
