"""Runs an exercise's check against programs."""

import os
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import tree
from .builder import READERS, Build, DoesNotCompile, build_program
from .catalogue import ROOT, Exercise, ExerciseError, step_folder
from .verdict import NOT_CHECKED, PASSED, Scenario, TaskVerdict, Verdict, judge, read_scenarios

CHECK_SECONDS = 120
EMULATOR = "SESSIONS_FIRESTORE_EMULATOR"  # the file that has the port of one that runs


def problem(exercise: Exercise, what: str, message: str = "") -> Verdict:
    """The verdict on what could not be checked at all."""
    tasks = [TaskVerdict(task.number, task.title, NOT_CHECKED, []) for task in exercise.tasks]
    return Verdict(exercise.name, tasks, what, message)


def make_ready(build: Build, *exercises: Exercise) -> None:
    """Builds the steps' own programs and the check programs that the exercises stand on. These are always the readers'."""
    steps = {exercise.step for exercise in exercises}
    steps |= {server.step for exercise in exercises for server in exercise.servers.values()}
    programs = [step_folder(step) for step in sorted(steps)]
    READERS.make(*(f"check_{exercise.name}" for exercise in exercises), *programs)
    if build != READERS:
        build.make(*programs)


def share_emulator() -> None:
    """Starts one Firestore emulator for all checks that this process runs: each start takes seconds. It ends with the
    process."""
    if EMULATOR in os.environ:
        return
    READERS.make("shared_firestore_emulator")
    file = READERS.folder / f"firestore_emulator.{os.getpid()}.port"
    subprocess.run([READERS.folder / "bin" / "shared_firestore_emulator", file], stdout=subprocess.DEVNULL, check=True)
    os.environ[EMULATOR] = str(file)


def emulator_host() -> str:
    """The address of the shared emulator, for FIRESTORE_EMULATOR_HOST."""
    return f"127.0.0.1:{Path(os.environ[EMULATOR]).read_text().strip()}"


def build_servers(build: Build, exercise: Exercise) -> dict[str, Path]:
    """The servers that the check needs beside what the student wrote, by role."""
    def build_server(role: str) -> Path:
        choice = exercise.servers[role]
        if choice.diff is None:
            return build.program(choice.step)
        folder = working_folder(build, exercise, f"server-{role}")
        tree.copy_steps(folder / "src")
        tree.apply_diff(exercise.folder / choice.diff, folder / "src")
        return build_program(build, choice.step, folder / "src", tree.changed_files(folder / "src"), folder / "out")

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(exercise.servers, pool.map(build_server, exercise.servers)))


def environment_of_check(programs: dict[str, Path], seed: str, results: Path) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "CI", EMULATOR)
                   or name.endswith("SAN_OPTIONS")}
    environment |= {f"CHECK_{role.upper()}": str(path) for role, path in programs.items()}
    return environment | {"CHECK_SEED": seed, "CHECK_RESULTS": str(results)}


def run_check(exercise: Exercise, programs: dict[str, Path], seed: str) -> list[Scenario]:
    """Runs the check outside of any sandbox, as a student does with her own code."""
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        results = Path(folder) / "results"
        environment = environment_of_check(programs, seed, results) | {"TMPDIR": folder}
        process = subprocess.Popen(
            [READERS.check(exercise.name)], env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
        try:
            process.wait(CHECK_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        scenarios = read_scenarios(results)
    if process.returncode != 0 and all(scenario.outcome == PASSED for scenario in scenarios):
        raise ExerciseError(f"the check itself has ended with exit code {process.returncode}; what it wrote is above")
    return scenarios


def build_tree(build: Build, exercise: Exercise, folder: Path) -> Path:
    """Builds what is in folder/src, if the exercise is one that is built. Throws DoesNotCompile."""
    source = folder / "src"
    if exercise.is_program:
        return build_program(build, exercise.step, source, tree.changed_files(source), folder / "out",
                             other_output=working_folder(build, exercise, "start") / "out")
    program = source / exercise.files[0]
    program.chmod(0o755)
    return program


def check_tree(build: Build, exercise: Exercise, folder: Path, seed: str, times: int = 1) -> list[Verdict]:
    """Builds what is in folder/src, and checks it so many times. A check mostly waits, so there are two for each core."""
    try:
        programs = {"program": build_tree(build, exercise, folder)} | build_servers(build, exercise)
    except DoesNotCompile as error:
        return [problem(exercise, "it does not compile", str(error))]
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        return list(pool.map(lambda _: judge(exercise, run_check(exercise, programs, seed)), range(times)))


def working_folder(build: Build, exercise: Exercise, name: str) -> Path:
    return ROOT / "build" / "exercises" / build.preset / exercise.name / name


def check_copy(build: Build, exercise: Exercise, copy: Path, seed: str) -> Verdict:
    """Checks a student's copy, of which only the exercise's files are taken."""
    folder = working_folder(build, exercise, "mine")
    tree.write_start(exercise, folder / "src")
    for file in exercise.files:
        if (copy / file).is_file():
            shutil.copyfile(copy / file, folder / "src" / file)
    [verdict] = check_tree(build, exercise, folder, seed)
    return verdict
