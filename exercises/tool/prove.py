"""./tutorial exercise --prove: every exercise from four sides."""

import contextlib
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
from .builder import Build, DoesNotCompile
from .catalogue import Exercise, ExerciseError, step_folder
from .checking import build_tree, check_tree, emulator_host, make_ready, share_emulator, working_folder
from .verdict import Verdict, stable, verdict_text

SEED = "proof"  # the expected texts contain the names that it draws


def _expected(exercise: Exercise, variant: str) -> Path:
    return exercise.folder / "expected" / f"{variant}.txt"


def _faults(exercise: Exercise, variant: str, verdict: Verdict, fails: tuple[int, ...], write: bool) -> list[str]:
    """What is wrong with the verdict on the start or on a wrong way."""
    faults = []
    if verdict.problem:
        return [f"{verdict.problem}:\n{verdict.message}"]
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


def contract_faults(build: Build, exercise: Exercise, program: Path) -> list[str]:
    """Runs the scenarios of the step's contract against a program."""
    step = step_folder(exercise.step)
    build.make(f"test_{step}")
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
                environment |= {"FIRESTORE_EMULATOR_HOST": emulator_host(), "GOOGLE_CLOUD_PROJECT": f"proof-{os.getpid()}"}
            server = subprocess.Popen([program, "--port", "0"], env=environment, stdout=subprocess.PIPE, text=True)
            processes.append(server)
            url = server.stdout.readline().split(" listening on ")[1].strip()
            result = subprocess.run(
                [build.folder / "bin" / f"test_{step}", f"--gtest_filter=Step{exercise.step}Contract*.*"],
                env={**os.environ, "SESSIONS_URL": url}, capture_output=True, text=True)
            failed = re.findall(r"^\[  FAILED  \] (\S+) \(", result.stdout, re.MULTILINE)
            if result.returncode != 0:
                return [f"breaks the contract of step {exercise.step}: {', '.join(failed) or result.stdout[-500:]}"]
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


def build_all(build: Build, exercise: Exercise, variants: Sequence[str]) -> None:
    """Builds the start, then the variants, as many at a time as there are cores: each alone keeps one core busy. What does
    not build is told when it is checked."""
    def build_variant(variant: str) -> None:
        folder = working_folder(build, exercise, variant)
        with contextlib.suppress(ExerciseError, DoesNotCompile):
            tree.write_variant(exercise, variant, folder / "src")
            build_tree(build, exercise, folder)

    build_variant("start")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(build_variant, [variant for variant in variants if variant != "start"]))


def prove(build: Build, exercise: Exercise, write: bool = False, repeat: int = 1, only: str = "") -> bool:
    """Checks the start, the solution and each wrong way. Prints a line for each; True if all are as they should be."""
    make_ready(build, exercise)
    if "firestore" in exercise.stores:
        share_emulator(build)
    variants = [variant for variant in ["start", "solution", *exercise.wrong_ways] if only in ("", variant)]
    build_all(build, exercise, variants)
    start = working_folder(build, exercise, "start")
    all_right = True
    for variant in variants:
        started = time.monotonic()
        folder = working_folder(build, exercise, variant)
        faults: list[str] = []
        try:
            tree.write_variant(exercise, variant, folder / "src")
            if outside := set(tree.changed_files(folder / "src", start / "src")) - set(exercise.files):
                faults.append(f"changes {', '.join(sorted(outside))}, which is not among the files")
            for _ in range(repeat):
                verdict = check_tree(build, exercise, folder, SEED)
                if variant != "solution":
                    fails = exercise.start_fails if variant == "start" else exercise.wrong_ways[variant].fails
                    faults += _faults(exercise, variant, verdict, fails, write)
                elif not verdict.passed:
                    faults.append(verdict_text(exercise, verdict))
            if variant == "solution" and exercise.contract and not faults:
                # A solution that is the step again needs no program of its own.
                changed = tree.changed_files(folder / "src")
                faults += contract_faults(
                    build, exercise, folder / "out" / "program" if changed else build.program(exercise.step))
        except ExerciseError as error:
            faults.append(str(error))
        print(f"{'as it should be' if not faults else 'WRONG':<15}  {exercise.name} {variant} "
              f"({time.monotonic() - started:.1f} s)", flush=True)
        for fault in faults:
            print(fault)
        all_right = all_right and not faults
    return all_right
