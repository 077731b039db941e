"""What a check has found, and how it is told to a person."""

import json
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

from .catalogue import Exercise

PASSED, FAILED, NOT_CHECKED = "passed", "failed", "not checked"


@dataclass
class Scenario:
    task: int
    name: str
    outcome: str
    steps: list[str] = field(default_factory=list)
    sent: str = ""
    expected: str = ""
    came: str = ""
    wrong_way: str = ""
    seconds: float = 0.0


@dataclass
class TaskVerdict:
    number: int
    title: str
    status: str
    scenarios: list[Scenario]

    @property
    def first_failed(self) -> Scenario | None:
        return next((one for one in self.scenarios if one.outcome == FAILED), None)


@dataclass
class Verdict:
    """Of one submission. `problem` is set if it could not be checked at all: it does not compile, or it timed out."""

    exercise: str
    tasks: list[TaskVerdict]
    problem: str = ""
    message: str = ""

    @property
    def passed(self) -> bool:
        return not self.problem and all(task.status == PASSED for task in self.tasks)

    @property
    def failed_tasks(self) -> tuple[int, ...]:
        return tuple(task.number for task in self.tasks if task.status == FAILED)

    @property
    def first_open(self) -> TaskVerdict | None:
        return next((task for task in self.tasks if task.status != PASSED), None)


def read_scenarios(path: Path) -> list[Scenario]:
    """Reads what a check has written. A scenario that has begun and not ended has not been finished in time."""
    begun: dict[str, Scenario] = {}
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # the last line of a check that was killed
        if "outcome" in entry:
            begun[entry["test"]] = Scenario(
                entry["task"], entry["test"], entry["outcome"], entry["steps"], entry.get("sent", ""),
                entry.get("expected", ""), entry.get("came", ""), entry.get("wrong_way", ""), entry["seconds"])
        else:
            begun[entry["test"]] = Scenario(
                entry["task"], entry["test"], FAILED, expected="an end in time", came="none",
                wrong_way="timed-out")
    return list(begun.values())


def judge(exercise: Exercise, scenarios: list[Scenario]) -> Verdict:
    """A task is passed if all its scenarios are, and is not checked yet where a task that it needs is not passed."""
    tasks: list[TaskVerdict] = []
    for task in exercise.tasks:
        own = [scenario for scenario in scenarios if scenario.task == task.number]
        if any(tasks[needed - 1].status != PASSED for needed in task.needs):
            status = NOT_CHECKED
        elif any(scenario.outcome == FAILED for scenario in own):
            status = FAILED
        elif not own or any(scenario.outcome == NOT_CHECKED for scenario in own):
            status = NOT_CHECKED
        else:
            status = PASSED
        tasks.append(TaskVerdict(task.number, task.title, status, own))
    return Verdict(exercise.name, tasks)


def shown(came: str, expected: str, limit: int = 800) -> str:
    """`came`, never cut before the first difference from `expected`."""
    if len(came) <= limit:
        return came
    # As far as the longest beginning of `expected` that occurs goes: that is where the two part.
    low, high = 0, len(expected)
    while low < high:
        middle = (low + high + 1) // 2
        if expected[:middle] in came:
            low = middle
        else:
            high = middle - 1
    end = max(limit, came.find(expected[:low]) + low + 200 if low else limit)
    return came if end >= len(came) else f"{came[:end]}\n[{len(came) - end} more characters]"


def _block(label: str, text: str) -> str:
    indent = " " * 12
    lines = [line for line in text.split("\n")] or [""]
    return "\n".join(f"  {label:<10}{line}".rstrip() if number == 0 else f"{indent}{line}".rstrip()
                     for number, line in enumerate(lines))


STATUS_WORDS = {PASSED: "done", FAILED: "not yet", NOT_CHECKED: "not checked yet"}


def failure_text(exercise: Exercise, task: TaskVerdict) -> str:
    """One failed task: what was done, sent, expected, and what came."""
    scenario = task.first_failed
    lines = [f"Task {task.number}: {task.title}"]
    lines += [f"  {number}. {step}" for number, step in enumerate(scenario.steps, 1)]
    if scenario.sent:
        lines.append(_block("Sent", scenario.sent))
    lines.append(_block("Expected", scenario.expected))
    lines.append(_block("Came", shown(scenario.came, scenario.expected)))
    if wrong := exercise.wrong_ways.get(scenario.wrong_way):
        lines.append(_block("Known as", "\n".join(textwrap.wrap(f"{wrong.name}: {wrong.explain}", 100))))
    return "\n".join(lines)


def verdict_text(exercise: Exercise, verdict: Verdict) -> str:
    """The whole verdict, for people. The first line says it all."""
    done = sum(task.status == PASSED for task in verdict.tasks)
    count = len(verdict.tasks)
    if verdict.problem:
        lines = [f"{exercise.name}: {verdict.problem}.", "", verdict.message.strip(), ""]
        lines += [f"  task {task.number}  not checked yet  {task.title}" for task in verdict.tasks]
    elif verdict.passed:
        lines = [f"{exercise.name}: {'the task is' if count == 1 else f'all {count} tasks are'} done."]
    else:
        failed = verdict.failed_tasks
        subject = f"task {failed[0]} is not done yet" if failed else "the rest could not be checked"
        lines = [f"{exercise.name}: {done} of {count} tasks done; {subject}.", ""]
        lines += [f"  task {task.number}  {STATUS_WORDS[task.status]:<15}  {task.title}" for task in verdict.tasks]
        for task in verdict.tasks:
            if task.status == FAILED:
                lines += ["", failure_text(exercise, task)]
            elif task.status == NOT_CHECKED and (reason := next(
                    (one.came for one in task.scenarios if one.outcome == NOT_CHECKED), "")):
                lines += ["", f"Task {task.number} could not be checked: {reason}"]
    if not verdict.passed:
        lines += ["", f"Next: change {' or '.join(f'my/{exercise.name}/{file}' for file in exercise.files)}, then",
                  f"  ./tutorial exercise {exercise.name}",
                  f"or ask for a hint: ./tutorial exercise {exercise.name} --hint"]
    return "\n".join(lines) + "\n"


def stable(text: str) -> str:
    """A verdict without what differs from run to run: ports and folders."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    return re.sub(r"/tmp/[\w.-]+", "/tmp/FOLDER", text)
