"""Compares the rules of CONTRACT.md with those that the scenarios name."""

import re

_ROW = re.compile(r"^\| `(?P<id>[a-z0-9-]+\.[a-z0-9-]+)` \| (?P<steps>[\d, ]+) \| (?P<weight>\w+) \| (?P<rule>.+) \| (?P<reason>.+) \|$")
_NAMED = re.compile(r"\bRule \w+\{\"(?P<id>[^\"]*)\"\}")
WEIGHTS = ("essential", "good", "polish")


def rows_of(lines):
    """The rules: a dictionary for each row of the tables, with id, steps, weight, rule and reason."""
    return [match.groupdict() for match in map(_ROW.match, lines) if match]


def named_rules(root):
    """Where each rule is named by a scenario: a set of files by id."""
    named = {}
    for path in root.glob("tests/**/*.cpp"):
        for match in _NAMED.finditer(path.read_text(encoding="utf-8")):
            named.setdefault(match["id"], set()).add(str(path.relative_to(root)))
    return named


def problems(lines, name, root):
    """What is wrong, as a list of sentences."""
    rows = rows_of(lines)
    ids = [row["id"] for row in rows]
    named = named_rules(root)
    found = [f"{name}:{number}: is not a row of a rule: {line}" for number, line in enumerate(lines, start=1)
             if line.startswith("| `") and not _ROW.match(line)]
    found += [f"{name}: {id} stands there twice" for id in sorted(set(ids)) if ids.count(id) > 1]
    found += [f"{name}: {row['id']}: {row['weight']} is not one of {', '.join(WEIGHTS)}" for row in rows
              if row["weight"] not in WEIGHTS]
    found += [f"{name}: {row['id']}: its reason has no link into the text" for row in rows
              if "](tutorial.md#" not in row["reason"]]
    found += [f"{name}: {id}: no scenario names this rule" for id in ids if id not in named]
    found += [f"{file}: {id}: there is no such rule in {name}" for id, files in sorted(named.items())
              for file in sorted(files) if id not in ids]
    return found
