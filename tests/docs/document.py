"""A Markdown document as a list of lines, and the fenced blocks in it."""

import dataclasses
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = ("tutorial.md", *sorted(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")), "README.md",
             "step4_firestore/README.md")

_FENCE = re.compile(r"^```(?P<language>\w*)$")
_DIRECTIVE = re.compile(r"^<!-- (?P<kind>snippet|pattern): (?P<argument>.*) -->$")


class DocumentError(Exception):
    """Something in a document or a source is wrong. The text names the place."""


@dataclasses.dataclass
class Block:
    """A fenced block: lines[first:last] is what stands between the fences."""

    language: str
    first: int
    last: int
    directives: list  # of (kind, argument), from the HTML comments right above the fence


def blocks_of(lines, name):
    """The fenced blocks of a document, in order. Throws DocumentError for a fence that is not closed."""
    blocks = []
    directives = []
    position = 0
    while position < len(lines):
        directive = _DIRECTIVE.match(lines[position])
        fence = _FENCE.match(lines[position])
        if directive:
            directives.append((directive["kind"], directive["argument"]))
        elif fence:
            end = position + 1
            while end < len(lines) and lines[end] != "```":
                end += 1
            if end == len(lines):
                raise DocumentError(f"{name}:{position + 1}: the block is not closed")
            blocks.append(Block(fence["language"], position + 1, end, directives))
            directives = []
            position = end
        elif directives:
            raise DocumentError(f"{name}:{position + 1}: a {directives[-1][0]} comment needs a block below it")
        position += 1
    return blocks


def replace_blocks(lines, blocks, contents):
    """The document with new contents in its blocks; None leaves a block as it is."""
    result = list(lines)
    for block, content in reversed(list(zip(blocks, contents))):
        if content is not None:
            result[block.first:block.last] = content
    return result


def outside_blocks(lines, name):
    """The lines that are prose, with their numbers."""
    inside = set()
    for block in blocks_of(lines, name):
        inside.update(range(block.first - 1, block.last + 1))
    return [(number + 1, line) for number, line in enumerate(lines) if number not in inside]


def read_lines(path):
    return path.read_text(encoding="utf-8").splitlines()


def write_lines(path, lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
