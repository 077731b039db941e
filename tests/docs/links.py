"""Checks what the documents refer to: files, headings, addresses, and the names of tests."""

import re
import urllib.parse

from tests.docs.document import outside_blocks, read_lines

_LINK = re.compile(r"\]\((?P<target>[^()\s]+)\)")
_CODE = re.compile(r"`[^`]*`")
_HEADING = re.compile(r"^#+ (?P<text>.*)$")
_PATH = re.compile(r"`(?P<path>(?:step\d\w*|tests|docs|cmake|\.ci)/[\w./-]*)`")
_TEST = re.compile(r"`(?P<suite>[A-Z]\w+)\.(?P<test>[A-Z]\w+|test_\w+)`")
_DEFINED = re.compile(r"(?:TYPED_)?TEST(?:_[FP])?\(\s*(?P<suite>\w+),\s*(?P<test>\w+)\s*\)")
_PYTHON_SUITE = re.compile(r"^class (?P<suite>\w+)\(", re.MULTILINE)


def anchors_of(lines, name):
    """The anchors that GitHub makes of a document's headings."""
    anchors = []
    for _, line in outside_blocks(lines, name):
        heading = _HEADING.match(line)
        if heading:
            words = re.sub(r"[^\w\- ]", "", heading["text"].lower()).replace(" ", "-")
            anchors.append(words if words not in anchors else f"{words}-{anchors.count(words)}")
    return anchors


def defined_tests(root):
    """The names Suite.Test of all tests, in C++ and in Python."""
    names = set()
    for path in root.glob("tests/**/*.cpp"):
        names.update(f"{m['suite']}.{m['test']}" for m in _DEFINED.finditer(path.read_text(encoding="utf-8")))
    for path in root.glob("tests/**/test_*.py"):
        suite = None
        for line in path.read_text(encoding="utf-8").splitlines():
            if match := _PYTHON_SUITE.match(line):
                suite = match["suite"]
            elif match := re.match(r"    def (?P<test>test_\w+)\(", line):
                names.add(f"{suite}.{match['test']}")
    return names


def problems(path, root):
    """What is wrong with the references of one document, as a list of sentences."""
    name = str(path.relative_to(root))
    lines = read_lines(path)
    tests = defined_tests(root)
    found = []
    for number, line in outside_blocks(lines, name):
        for match in _LINK.finditer(_CODE.sub("", line)):
            problem = _problem_with(match["target"], path, root)
            if problem:
                found.append(f"{name}:{number}: {match['target']}: {problem}")
        for match in _PATH.finditer(line):
            if not (root / match["path"]).exists():
                found.append(f"{name}:{number}: there is no {match['path']}")
        for match in _TEST.finditer(line):
            test = f"{match['suite']}.{match['test']}"
            if test not in tests:
                found.append(f"{name}:{number}: there is no test {test}")
    return found


def _problem_with(target, path, root):
    url = urllib.parse.urlsplit(target)
    if url.scheme:
        is_well_formed = url.scheme in ("https", "http") and url.hostname and "." in url.hostname
        return None if is_well_formed else "is not a well-formed address"
    file = (path.parent / urllib.parse.unquote(url.path)).resolve() if url.path else path
    if not file.exists() or not file.is_relative_to(root):
        return "there is no such file"
    if url.fragment and file.suffix == ".md" and url.fragment not in anchors_of(read_lines(file), file.name):
        return "there is no such heading"
    return None
