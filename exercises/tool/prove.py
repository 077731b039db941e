"""./tutorial exercise --prove: every exercise from four sides."""

import os
import re
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import tree
from .builder import READERS, Build, DoesNotCompile
from .catalogue import Exercise, ExerciseError, step_folder
from .checking import build_tree, check_tree, emulator_host, make_ready, share_emulator, working_folder
from .verdict import Verdict, stable, verdict_text

SEED = "proof"  # the expected texts contain the names that it draws


def _expected(exercise: Exercise, variant: str) -> Path:
    return exercise.folder / "expected" / f"{variant}.txt"


def _faults(exercise: Exercise, variant: str, verdict: Verdict, write: bool) -> list[str]:
    """What is wrong with the verdict on a variant."""
    faults = []
    if verdict.problem:
        return [f"{verdict.problem}:\n{verdict.message}"]
    if variant == "solution":
        return [] if verdict.passed else [verdict_text(exercise, verdict)]
    fails = exercise.start_fails if variant == "start" else exercise.wrong_ways[variant].fails
    if verdict.failed_tasks != fails:
        faults.append(f"fails tasks {verdict.failed_tasks}, not {fails}")
    text = stable(verdict_text(exercise, verdict))
    path = _expected(exercise, variant)
    if write:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    elif not path.exists() or path.read_text() != text:
        faults.append(f"the text is not that of {path.relative_to(exercise.folder)}:\n{text}")
    if variant in exercise.wrong_ways:
        named = {task.first_failed.wrong_way for task in verdict.tasks if task.first_failed}
        if variant not in named:
            faults.append(f"the check does not know it by its name, but as {named}")
    return faults


def contract_faults(exercise: Exercise, program: Path) -> list[str]:
    """Runs the scenarios of the step's contract against a program."""
    step = step_folder(exercise.step)
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        environment = {**os.environ, "SECRET_KEY": "k" * 40, "QUIET": "1"}
        processes = []
        try:
            if "redis" in exercise.stores:
                with socket.socket() as free:
                    free.bind(("127.0.0.1", 0))
                    port = free.getsockname()[1]
                processes.append(subprocess.Popen(
                    ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
                    stdout=subprocess.DEVNULL))
                environment["REDIS_URL"] = f"redis://127.0.0.1:{port}"
                _wait_for_port(port)
            if "firestore" in exercise.stores:
                environment |= {"FIRESTORE_EMULATOR_HOST": emulator_host(), "GOOGLE_CLOUD_PROJECT": f"proof-{exercise.name}"}
            log_file = Path(folder) / "log"
            with log_file.open("w") as log:
                server = subprocess.Popen(
                    [program, "--port", "0"], env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
            processes.append(server)
            url = server.stdout.readline().split(" listening on ")[1].strip()
            result = subprocess.run(
                [READERS.folder / "bin" / f"test_{step}", f"--gtest_filter=Step{exercise.step}Contract.*"],
                env={**os.environ, "SESSIONS_URL": url}, capture_output=True, text=True)
            failed = re.findall(r"^\[  FAILED  \] (\S+) \(", result.stdout, re.MULTILINE)
            if result.returncode != 0:
                return [f"breaks the contract of step {exercise.step}: {', '.join(failed) or result.stdout[-500:]}"]
            server.terminate()
            if server.wait() != 0:  # as a sanitizer lets a program end that it has complained of
                return [f"ends with exit code {server.returncode} after the contract's scenarios:\n{log_file.read_text()}"]
            return []
        finally:
            for process in reversed(processes):
                process.terminate()
                process.wait()


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise ExerciseError("redis-server does not start")


def _build_variant(build: Build, exercise: Exercise, variant: str) -> list[str]:
    """Writes a variant's tree and builds it. Returns what keeps it from being written; what does not compile is told when it
    is checked."""
    folder = working_folder(build, exercise, variant)
    try:
        tree.write_variant(exercise, variant, folder / "src")
        build_tree(build, exercise, folder)
    except ExerciseError as error:
        return [str(error)]
    except DoesNotCompile:
        pass
    return []


def build_all(build: Build, exercise: Exercise, variants: Sequence[str]) -> dict[str, list[str]]:
    """Builds the first variant, from which the others take what is the same, then those, as many at a time as there are
    cores: each alone keeps one core busy. Returns the faults of each."""
    first, *others = variants
    faults = {first: _build_variant(build, exercise, first)}
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return faults | dict(zip(others, pool.map(lambda variant: _build_variant(build, exercise, variant), others)))


def prove_one(build: Build, exercise: Exercise, write: bool, repeat: int, only: str) -> bool:
    """Prints a line for each variant, or for the only one that is asked for; True if all are as they should be."""
    variants = [variant for variant in ["start", "solution", *exercise.wrong_ways] if only in ("", variant)]
    if not variants:
        raise ExerciseError(f"{exercise.name} has no variant '{only}'")
    all_faults = build_all(build, exercise, variants)
    for variant in variants:
        started = time.monotonic()
        folder = working_folder(build, exercise, variant)
        faults = all_faults[variant]
        try:
            if not faults:
                verdicts = check_tree(build, exercise, folder, SEED, repeat)
                for number, verdict in enumerate(verdicts, 1):
                    which = f"time {number} of {repeat}: " if repeat > 1 else ""
                    faults += [which + fault for fault in _faults(exercise, variant, verdict, write)]
            if variant == "solution" and exercise.contract and not faults:
                # A solution that is the step again needs no program of its own.
                changed = tree.changed_files(folder / "src")
                faults += contract_faults(
                    exercise, folder / "out" / "program" if changed else build.program(exercise.step))
        except ExerciseError as error:
            faults.append(str(error))
        times = f"{repeat} times, " if repeat > 1 else ""
        # In one piece, for others print too.
        print("\n".join([f"{'WRONG' if faults else 'as it should be':<15}  {exercise.name} {variant} "
                         f"({times}{time.monotonic() - started:.1f} s)", *faults]), flush=True)
    return not any(all_faults.values())


def prove(build: Build, exercises: Sequence[Exercise], write: bool = False, repeat: int = 1, only: str = "") -> bool:
    """Checks start, solution and wrong ways of exercises, each so many times. With a sanitizer the solution only: what is wrong
    on purpose may do wrong. True if all are as they should be."""
    make_ready(build, *exercises)
    if tests := {f"test_{step_folder(exercise.step)}" for exercise in exercises if exercise.contract}:
        READERS.make(*tests)
    if any("firestore" in exercise.stores for exercise in exercises):
        share_emulator()
    if build != READERS:
        os.environ |= build.sanitizer_options()
        only = only or "solution"
    # While one waits for its check, another one builds.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda exercise: prove_one(build, exercise, write, repeat, only), exercises))
    print(f"{sum(results)} of {len(results)} exercises are proven.")
    return all(results)
