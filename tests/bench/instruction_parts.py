#!/usr/bin/env python3
"""Says which part of the server the instructions of one logged-in request belong to (docs/speed.md).

Usage: instruction_parts.py build/release/bin/step3_ttl. Two servers run under callgrind, one answers more requests than the
other, and the difference is what the additional requests cost.
"""

import pathlib
import re
import subprocess
import sys

import count_instructions

# What is counted in each, with all that it calls.
PARTS = {
    "check and cut the request": "sessions::RequestParser::next()",
    "read the cookie": "sessions::SignedCookie::read",
    "- of it the signature": "sessions::SigningKey::has_signed",
    "the event loop: Redis, resume, page, send": "asio::io_context::run()",
}


def inclusive(callgrind_output):
    """The program's total, and each part's."""
    table = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", "--show-percs=no", callgrind_output],
                           capture_output=True, text=True, check=True).stdout
    found = {}
    for part, function in {"all": "PROGRAM TOTALS", **PARTS}.items():
        line = re.search(rf"^ *([\d,]+) .*{re.escape(function)}", table, re.MULTILINE)
        if not line:
            raise SystemExit(f"{function} is not in the program, or has another name now")
        found[part] = int(line[1].replace(",", ""))
    return found


def main():
    few, many = count_instructions.few_and_many(pathlib.Path(sys.argv[1]), inclusive)
    cost = {part: (many[part] - few[part]) // (count_instructions.MANY - count_instructions.FEW) for part in many}
    total = cost.pop("all")
    rest = total - sum(count for part, count in cost.items() if not part.startswith("-"))
    for part, count in {**cost, "the rest: receive, start the handler, hand over": rest, "all": total}.items():
        print(f"{count:8,}  {part}")


if __name__ == "__main__":
    main()
