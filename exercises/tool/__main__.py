"""The command line behind `./tutorial exercise`, `grade` and `check`."""

import argparse
import sys

from . import contract, grade, student
from .builder import Build
from .catalogue import ExerciseError, changed_since, load, load_all
from .formats import FORMATS
from .prove import prove


class Parser(argparse.ArgumentParser):
    """Says where to find help, as ./tutorial does."""

    def error(self, message: str):
        self.exit(2, f"tutorial: {message}\nTry: ./tutorial help\n")


def parser() -> argparse.ArgumentParser:
    top = Parser(prog="./tutorial")
    verbs = top.add_subparsers(dest="verb", required=True)
    exercise = verbs.add_parser("exercise", help="list the exercises, or work on one")
    exercise.add_argument("names", nargs="*", metavar="NAME")
    exercise.add_argument("--watch", action="store_true", help="check whenever you save")
    exercise.add_argument("--hint", action="store_true", help="the next hint of the first open task")
    exercise.add_argument("--reset", action="store_true", help="begin again; your files are kept beside")
    exercise.add_argument("--solution", action="store_true", help="show one way to do it")
    exercise.add_argument("--seed", help="draw the names of an earlier check again")
    exercise.add_argument("--prove", action="store_true", help="check start, solution and wrong ways of all, or of NAME")
    exercise.add_argument("--preset", default="tutorial", choices=("tutorial", "asan", "tsan"),
                          help="with --prove: the solutions with a sanitizer")
    exercise.add_argument("--changed-since", metavar="COMMIT", help="with --prove: only exercises that have changed since")
    exercise.add_argument("--repeat", type=int, default=1, help="with --prove: this many times")
    exercise.add_argument("--variant", default="", help="with --prove: start, solution or one wrong way only")
    exercise.add_argument("--write", action="store_true", help="with --prove: write expected/*.txt anew")
    grade_verb = verbs.add_parser("grade", help="grade submissions, each in a sandbox")
    grade_verb.add_argument("name", metavar="NAME")
    grade_verb.add_argument("folders", nargs="+", metavar="DIR")
    grade_verb.add_argument("--format", choices=FORMATS, default="markdown")
    grade_verb.add_argument("--output", help="write the JSON to this file, after each submission")
    grade_verb.add_argument("--seed", action="append", help="draw the names of an earlier run again; may be repeated")
    grade_verb.add_argument("--trust", action="store_true", help="no sandbox: you have read every submission")
    check_verb = verbs.add_parser("check", help="check a running server against step N's contract")
    check_verb.add_argument("step", type=int, metavar="N")
    check_verb.add_argument("--url", action="append", help="the server's address; repeat it for a second one on the same store")
    check_verb.add_argument("--ttl", type=float, help="the server's SESSION_TTL in seconds, if it is not 10")
    check_verb.add_argument("--redis", help="its REDIS_URL, to look at the keys")
    return top


def run_exercise(arguments) -> int:
    if not arguments.prove:
        return student.run(arguments)
    exercises = [load(name) for name in arguments.names] or list(load_all().values())
    if arguments.changed_since:
        changed = changed_since(arguments.changed_since)
        exercises = [exercise for exercise in exercises if exercise.name in changed]
    if not exercises:
        print(f"No exercise has changed since {arguments.changed_since}.")
        return 0
    return 0 if prove(Build(arguments.preset), exercises, arguments.write, arguments.repeat, arguments.variant) else 1


def main() -> int:
    arguments = parser().parse_args()
    try:
        return {"exercise": run_exercise, "grade": grade.run, "check": contract.run}[arguments.verb](arguments)
    except ExerciseError as error:
        print(f"tutorial: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
