"""Looking at the machine's processes."""

from pathlib import Path


def processes_of(users: range) -> list[str]:
    """The names of what runs as one of these users of the machine."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue  # it has just ended
        if int(lines["Uid"].split()[0]) in users:
            found.append(lines["Name"].strip())
    return found
