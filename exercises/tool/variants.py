"""Steps with other sources: broken on purpose (variants/broken), or a reader's own (my/stepN).

Prints the program's path, for driver/run.sh. The sources are put together below build/variants and built by the step's
own commands, so only what differs is compiled.
"""

import argparse
import shutil
import sys
from pathlib import Path

from . import tree
from .builder import READERS, DoesNotCompile, build_program
from .catalogue import ROOT, ExerciseError, step_folder

BROKEN = ROOT / "variants" / "broken"
START = ROOT / "variants" / "start"
WORKING = ROOT / "build" / "variants"


def broken_diff(name: str) -> Path:
    diff = BROKEN / f"{name}.diff"
    if "/" in name or not diff.is_file():
        raise ExerciseError(f"--broken is one of {', '.join(sorted(diff.stem for diff in BROKEN.glob('*.diff')))}, not '{name}'")
    return diff


def headline(diff: Path) -> str:
    """What a diff does, in one sentence: its first line."""
    return diff.read_text().splitlines()[0]


def my_folder(step: int) -> Path:
    return ROOT / "my" / f"step{step}"


def write_broken(step: int, name: str, folder: Path) -> None:
    """The steps' sources with the fault in them, which has to be one that the step can have."""
    tree.copy_steps(folder)
    tree.apply_diff(broken_diff(name), folder)
    for file in tree.changed_files(folder):
        if file.endswith("/main.cpp") and not file.startswith(f"step{step}_"):
            raise ExerciseError(f"--broken {name} is for step {file[len('step')]}, not for step {step}")


def write_skeleton(step: int, folder: Path) -> None:
    """The steps' sources without what the reader of step N's chapter types."""
    tree.copy_steps(folder)
    tree.apply_diff(START / f"step{step}.diff", folder)


def write_mine(step: int, folder: Path) -> None:
    """The steps' sources with the reader's own in place of step N's."""
    mine = sorted(my_folder(step).glob("*.[ch]pp"))
    if not mine:
        raise ExerciseError(f"there is nothing in my/step{step}. Begin with: ./tutorial start {step}")
    tree.copy_steps(folder)
    for file in mine:
        shutil.copyfile(file, folder / step_folder(step) / file.name)


def named_as_mine(step: int, said: str) -> str:
    """What the compiler said, with the reader's files in place of the copies that it compiled."""
    for file in my_folder(step).glob("*.[ch]pp"):
        said = said.replace(f"{step_folder(step)}/{file.name}:", f"my/step{step}/{file.name}:")
    return said


def build(step: int, name: str) -> Path:
    """Builds what stands in build/variants/NAME/src; the step's own program has to be up to date."""
    source = WORKING / name / "src"
    return build_program(READERS, step, source, tree.changed_files(source), WORKING / name / "out")


def start(step: int) -> None:
    """Lays out my/stepN. What is there stays."""
    if not (START / f"step{step}.diff").is_file():
        raise ExerciseError(f"there is nothing to type in step {step}, only in 2, 3, 4 and 5")
    target = my_folder(step) / "main.cpp"
    if target.exists():
        print(f"my/step{step} is there already. To begin again, move it away.")
        return
    source = WORKING / f"start-step{step}" / "src"
    write_skeleton(step, source)
    target.parent.mkdir(parents=True, exist_ok=True)
    lines = (source / step_folder(step) / "main.cpp").read_text().splitlines(keepends=True)
    target.write_text("".join(line for line in lines if not line.lstrip().startswith("//! [")))
    print(f"my/step{step}/main.cpp is {step_folder(step)}/main.cpp without its idea. "
          f"What is missing is marked:\n")
    for number, line in enumerate(target.read_text().splitlines(), 1):
        if "YOURS" in line:
            print(f"  line {number}: {line.partition('YOURS: ')[2]}")
    print(f"\nRun it:     ./tutorial run {step} --mine --watch\nCheck it:   ./tutorial check {step}\n"
          f"Compare it: ./tutorial diff {step} --mine")


def main() -> int:
    parser = argparse.ArgumentParser(prog="./tutorial")
    parser.add_argument("what", choices=("broken", "mine", "start"))
    parser.add_argument("step", type=int)
    parser.add_argument("name", nargs="?", default="")
    arguments = parser.parse_args()
    step = arguments.step
    try:
        if arguments.what == "start":
            start(step)
            return 0
        if arguments.what == "broken":
            name = f"step{step}-{arguments.name}"
            write_broken(step, arguments.name, WORKING / name / "src")
            print(f"Broken on purpose: {headline(broken_diff(arguments.name))}", file=sys.stderr)
        else:
            name = f"step{step}-mine"
            write_mine(step, WORKING / name / "src")
        print(build(step, name))
        return 0
    except DoesNotCompile as error:
        said = named_as_mine(step, str(error)) if arguments.what == "mine" else str(error)
        print(f"{said}tutorial: it does not compile; what the compiler says is above", file=sys.stderr)
        return 1
    except ExerciseError as error:
        print(f"tutorial: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
