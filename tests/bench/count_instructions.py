#!/usr/bin/env python3
"""Counts the instructions that one logged-in request costs, which do not depend on the machine's mood.

Usage: count_instructions.py [--renew] PROGRAM. Two servers run under callgrind, one
answers more requests than the other, and the difference is what the additional requests cost. Fails if
that is a quarter more than the figure in instructions.json; --renew stores the new figure instead.
"""

import argparse
import contextlib
import http.client
import json
import os
import pathlib
import re
import secrets
import shutil
import sys
import tempfile

import load
import process

FIGURES = pathlib.Path(__file__).with_name("instructions.json")
FEW, MANY = 100, 300
BAND = 0.25
SKIPPED = 77  # what CTest takes for a test that was not run


def visit(port, visitor, times):
    """The same page over one keep-alive connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for _ in range(times):
        connection.request("GET", "/", headers={"Cookie": visitor.cookie})
        response = connection.getresponse()
        page = response.read().decode()
        if response.status != 200 or visitor.greeting not in page:
            raise load.Wrong(f"{response.status} without {visitor.greeting!r}:\n{page}")
    connection.close()


def total(callgrind_output):
    return int(re.search(r"^(?:summary|totals): (\d+)", callgrind_output.read_text(), re.MULTILINE)[1])


def instructions(program, environment, requests, read=total):
    """What a server costs from its start to its end, as `read` finds it in callgrind's output."""
    port = process.free_port()
    with tempfile.TemporaryDirectory() as folder:
        output = pathlib.Path(folder, "callgrind.out")
        command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={output}", program,
                   "--threads", "1", "--port", port]
        with process.Process(command, environment) as server:
            server.wait_until(process.answers_http(port))
            enter = load.arrive if "FIRESTORE_EMULATOR_HOST" in environment else load.log_in
            visit(port, enter(port, "alice"), requests)
        return read(output)


def lacking(name):
    """A program that is needed and not there, or None."""
    if name == "step4_firestore" and process.find_firestore_emulator() is None:
        return "the Firestore emulator"
    return next((tool for tool in ("valgrind", "redis-server") if not shutil.which(tool)), None)


@contextlib.contextmanager
def stores(name):
    """The store that the step needs, as environment variables."""
    port = process.free_port()
    if name == "step1_cookie_login":
        yield {}
    elif name == "step4_firestore":
        with process.firestore_emulator(port):
            yield {"FIRESTORE_EMULATOR_HOST": f"127.0.0.1:{port}", "GOOGLE_CLOUD_PROJECT": "bench"}
    else:
        with process.redis(port):
            url = f"redis://127.0.0.1:{port}"
            yield {"REDIS_URL": url, "SESSION_STORE": url}


def few_and_many(program, read=total):
    """What FEW and what MANY requests cost. Ends this program if another one that is needed is missing."""
    missing = lacking(program.name)
    if missing:
        print(f"{missing} is not installed. Run ./tutorial setup")
        sys.exit(1 if os.environ.get("CI") else SKIPPED)
    with stores(program.name) as environment:
        environment |= {"SECRET_KEY": secrets.token_hex(32), "QUIET": "1"}
        return [instructions(program, environment, requests, read) for requests in (FEW, MANY)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--renew", action="store_true", help="store the new figure")
    arguments = parser.parse_args()
    name = arguments.program.name

    few, many = few_and_many(arguments.program)
    measured = (many - few) // (MANY - FEW)

    figures = json.loads(FIGURES.read_text())
    if arguments.renew:
        figures[name] = measured
        FIGURES.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
        print(f"{name}: {measured:,} instructions a request, stored in {FIGURES.name}")
        return 0
    change = measured / figures[name] - 1
    print(f"{name}: {measured:,} instructions a request, {change:+.0%} against {FIGURES.name}")
    if change > BAND:
        print(f"That is too much. If it cannot be helped: {sys.argv[0]} --renew {arguments.program}")
        return 1
    if change < -BAND:
        print(f"Well done. So that the guard stays sharp: {sys.argv[0]} --renew {arguments.program}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
