"""Keeps tutorial.md and README.md true. `./tutorial docs` calls this; so do the tests, with --check."""

import argparse
import os
import subprocess
import sys

from tests.docs import console, contract, diagrams, links, snippets
from tests.docs.document import (DOCUMENTS, ROOT, DocumentError, blocks_of, outside_blocks, read_lines,
                                 replace_blocks, write_lines)


def check_snippets(write):
    """Fills the blocks that show sources; or says which are out of date."""
    sources = snippets.Sources(ROOT)
    problems = []
    for name in DOCUMENTS:
        lines = read_lines(ROOT / name)
        filled = replace_blocks(lines, blocks_of(lines, name), snippets.fill(lines, name, sources))
        if filled != lines:
            if write:
                write_lines(ROOT / name, filled)
            else:
                problems.append(f"{name}: a snippet differs from its source; run ./tutorial docs")
        problems += [f"{name}:{number}: a marker has leaked" for number, line in enumerate(filled, start=1)
                     if "//! [" in line and (number, line) not in outside_blocks(filled, name)]
    return problems + sources.unused()


def check_console(write):
    """Runs the console blocks and refreshes their output; or says what differs."""
    # The text shows what `./tutorial run` prints when there is nothing to build.
    steps = [folder.name for folder in ROOT.glob("step[0-9]_*")]
    subprocess.run(["cmake", "--preset", "tutorial"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", "--preset", "tutorial", "--target", *steps], cwd=ROOT, check=True,
                   stdout=subprocess.DEVNULL)
    problems = []
    for name in DOCUMENTS:
        lines = read_lines(ROOT / name)
        contents, differences = console.run_blocks(lines, name)
        if not write:
            problems += differences
        elif differences:
            # All of them, so that the tokens that one block shows are those of the block before.
            write_lines(ROOT / name, replace_blocks(lines, blocks_of(lines, name), contents))
    return problems


def check_links(_write):
    """Says which links, paths and names of tests lead nowhere."""
    return [problem for name in DOCUMENTS for problem in links.problems(ROOT / name, ROOT)]


def check_diagrams(_write):
    """Says which diagrams cannot be drawn."""
    return [problem for name in DOCUMENTS for problem in diagrams.problems(read_lines(ROOT / name), name)]


def check_benchmark(_write):
    """Says if README.md quotes another run of the benchmark than the last one."""
    readme, results = (read_lines(ROOT / name) for name in ("README.md", "tests/bench/results.md"))

    def rows(lines, first, last):
        return [line for line in lines[lines.index(first):lines.index(last)] if line.startswith("|")]

    quoted = rows(readme, "## How fast it is", "## How the repository is laid out")
    measured = rows(results, "## Targets", "## Measurements")
    return [] if quoted == measured else ["README.md: the table of the benchmark is not that of tests/bench/results.md"]


def check_contract(_write):
    """Says which rules no scenario checks, and which named ones are none."""
    return (contract.problems(read_lines(ROOT / "CONTRACT.md"), "CONTRACT.md", ROOT)
            + links.problems(ROOT / "CONTRACT.md", ROOT))


CHECKS = {"snippets": check_snippets, "links": check_links, "diagrams": check_diagrams, "console": check_console,
          "benchmark": check_benchmark, "contract": check_contract}
SKIPPED = 77  # CTest's SKIP_RETURN_CODE


def main():
    parser = argparse.ArgumentParser(prog="./tutorial docs", description=__doc__)
    parser.add_argument("check", nargs="*", choices=[[], *CHECKS], help="what to look at, by default all")
    parser.add_argument("--check", dest="write", action="store_false", help="change nothing, report differences")
    arguments = parser.parse_args()
    problems = []
    try:
        for name in arguments.check or CHECKS:
            problems += CHECKS[name](arguments.write)
    except DocumentError as error:
        problems.append(str(error))
    except diagrams.Unavailable as reason:
        # A visible skip for a student, a failure in CI.
        print(f"skipped: {reason}", file=sys.stderr)
        return 1 if os.environ.get("CI") else SKIPPED
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
