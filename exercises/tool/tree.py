"""The steps' sources with an exercise's changes in them."""

import shutil
import subprocess
from pathlib import Path

from .catalogue import ROOT, Exercise, ExerciseError

STEP_FILES = ("*.cpp", "*.hpp")


def apply_diff(diff: Path, folder: Path) -> None:
    """Applies a unified diff strictly: lines may have moved, but each has to be there."""
    result = subprocess.run(
        ["patch", "-p1", "--fuzz=0", "--no-backup-if-mismatch", "--silent", "--forward", "--directory", folder,
         "--input", diff],
        capture_output=True, text=True)
    if result.returncode != 0:
        raise ExerciseError(
            f"{diff.relative_to(ROOT) if diff.is_relative_to(ROOT) else diff} no longer applies:\n"
            f"{result.stdout}{result.stderr}")


def copy_steps(folder: Path) -> None:
    """Copies the sources of all steps."""
    shutil.rmtree(folder, ignore_errors=True)
    for step in sorted(ROOT.glob("step[1-9]_*")):
        target = folder / step.name
        target.mkdir(parents=True)
        for pattern in STEP_FILES:
            for file in step.glob(pattern):
                shutil.copyfile(file, target / file.name)


def write_start(exercise: Exercise, folder: Path) -> None:
    """The state in which a student begins."""
    copy_steps(folder)
    if (start := exercise.folder / "start.diff").exists():
        apply_diff(start, folder)


def write_variant(exercise: Exercise, variant: str, folder: Path) -> None:
    """`variant` is start, solution, or the name of a wrong way."""
    write_start(exercise, folder)
    if variant == "solution":
        apply_diff(exercise.folder / "solution.diff", folder)
    elif variant != "start":
        apply_diff(exercise.folder / "wrong" / f"{variant}.diff", folder)


def changed_files(folder: Path, originals: Path = ROOT) -> list[str]:
    """The files that differ from the steps' own, or from other originals, as paths below `folder`."""
    changed = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            path = file.relative_to(folder)
            original = originals / path
            if not original.is_file() or original.read_bytes() != file.read_bytes():
                changed.append(str(path))
    return changed
