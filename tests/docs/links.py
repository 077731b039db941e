"""Checks what the documents refer to: files, headings, addresses, and the names of tests."""

import collections
import re
import urllib.parse

from tests.docs.document import outside_blocks, read_lines

_LINK = re.compile(r"\]\((?P<target>[^()\s]+)\)")
_CODE = re.compile(r"`[^`]*`")
_HEADING = re.compile(r"^#+ (?P<text>.*)$")
_PATH = re.compile(r"`(?P<path>(?:step\d\w*|tests|docs|cmake|\.ci)/[\w./-]*)`")
_TEST = re.compile(r"`(?P<suite>[A-Z]\w+)\.(?P<test>[A-Z]\w+|test_\w+)`")


def anchors_of(lines, name):
    """The anchors that GitHub makes of a document's headings."""
    anchors = []
    seen = collections.Counter()
    for _, line in outside_blocks(lines, name):
        heading = _HEADING.match(line)
        if heading:
            words = re.sub(r"[^\w\- ]", "", heading["text"].lower()).replace(" ", "-")
            anchors.append(f"{words}-{seen[words]}" if seen[words] else words)
            seen[words] += 1
    return anchors


def words_of_tests(root):
    """All words in the sources of the tests. A test's suite and name are two of them."""
    words = set()
    for path in root.glob("tests/**/*"):
        if path.suffix in (".cpp", ".hpp", ".py"):
            words.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    return words


def problems(path, root):
    """What is wrong with the references of one document, as a list of sentences."""
    name = str(path.relative_to(root))
    lines = read_lines(path)
    words = words_of_tests(root)
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
            if not words.issuperset(match.groups()):
                found.append(f"{name}:{number}: there is no test {match[0]}")
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
