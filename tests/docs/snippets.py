"""Fills the C++ blocks of the documents from named regions of the sources.

A region lies between two lines `//! [name]`. A block names what it shows in a comment above it:

    <!-- snippet: step2_redis_counter/main.cpp [index] -->     a region
    <!-- snippet: step4_firestore/app.yaml -->                 a whole file
"""

import re
import textwrap

from tests.docs.document import DocumentError, blocks_of

_MARKER = re.compile(r"^\s*//! \[(?P<name>[^\]]+)\]$")
_ARGUMENT = re.compile(r"^(?P<path>[^\s\[]+)(?: \[(?P<region>[^\]]+)\])?$")


def regions_of(text, path):
    """The regions of a source by name. Throws DocumentError if they are nested, repeated or not closed."""
    regions = {}
    open_name = None
    for number, line in enumerate(text.splitlines(), start=1):
        marker = _MARKER.match(line)
        if not marker:
            if "//!" in line:
                raise DocumentError(f"{path}:{number}: this is not a marker of the form //! [name]")
            if open_name is not None:
                regions[open_name].append(line)
            continue
        name = marker["name"]
        if open_name is None:
            if name in regions:
                raise DocumentError(f"{path}:{number}: the region [{name}] appears twice")
            regions[name] = []
            open_name = name
        elif open_name == name:
            open_name = None
        else:
            raise DocumentError(f"{path}:{number}: [{name}] is nested in or crosses [{open_name}]")
    if open_name is not None:
        raise DocumentError(f"{path}: the region [{open_name}] is not closed")
    for name, lines in regions.items():
        content = textwrap.dedent("\n".join(lines)).strip("\n")
        if not content:
            raise DocumentError(f"{path}: the region [{name}] is empty")
        regions[name] = content.splitlines()
    return regions


class Sources:
    """The sources below a folder, and which of their regions have been used."""

    def __init__(self, root):
        self._root = root
        self._regions = {}
        for path in sorted(root.glob("step*/*.[ch]pp")):
            name = str(path.relative_to(root))
            self._regions[name] = regions_of(path.read_text(encoding="utf-8"), name)
        self._used = set()

    def content(self, argument, where):
        """What `file [region]` or `file` names."""
        match = _ARGUMENT.match(argument)
        if not match:
            raise DocumentError(f"{where}: cannot read the snippet comment '{argument}'")
        path, region = match["path"], match["region"]
        if region is None:
            file = self._root / path
            if not file.is_file():
                raise DocumentError(f"{where}: there is no file {path}")
            lines = file.read_text(encoding="utf-8").splitlines()
            return [line for line in lines if not _MARKER.match(line)]
        if region not in self._regions.get(path, {}):
            raise DocumentError(f"{where}: there is no region [{region}] in {path}")
        self._used.add((path, region))
        return self._regions[path][region]

    def unused(self):
        """Regions that no document shows. One that is carried over unchanged counts as shown."""
        shown = [self._regions[path][region] for path, region in self._used]
        return [
            f"{path}: the region [{name}] is shown nowhere"
            for path, regions in self._regions.items()
            for name, lines in regions.items()
            if lines not in shown
        ]


def fill(lines, name, sources):
    """The new contents of each block of a document; None for a block that is not a snippet."""
    contents = []
    for block in blocks_of(lines, name):
        where = f"{name}:{block.first}"
        arguments = [argument for kind, argument in block.directives if kind == "snippet"]
        if len(arguments) > 1:
            raise DocumentError(f"{where}: a block shows one snippet")
        if not arguments and block.language == "cpp":
            raise DocumentError(f"{where}: C++ comes from the sources; name a region in a snippet comment")
        contents.append(sources.content(arguments[0], where) if arguments else None)
    return contents
