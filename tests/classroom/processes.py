"""Looking at the machine's processes."""

import time
from pathlib import Path


def _processes_of(users: range) -> list[str]:
    """The names of what runs as one of these users of the machine now."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
        except OSError:
            continue  # it has just ended
        if int(lines["Uid"].split()[0]) in users:
            found.append(lines["Name"].strip())
    return found


def left_of(users: range, patience: float = 10) -> list[str]:
    """The names of what still runs as one of these users. What has been killed has so many seconds to go."""
    deadline = time.monotonic() + patience
    while (found := _processes_of(users)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found
