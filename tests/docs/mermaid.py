"""Mermaid, which draws the diagrams. `python3 -m tests.docs.mermaid` downloads it if it is not there."""

import pathlib
import subprocess
import sys
import tarfile
import tempfile

from tests.docs.document import ROOT

VERSION = "12.3.0"
# The one file of its npm package that a browser needs.
SCRIPT = ROOT / "build" / "mermaid" / VERSION / "package" / "dist" / "mermaid.min.js"


def main():
    if SCRIPT.exists():
        return 0
    print(f"Downloading with npm: mermaid {VERSION}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        try:
            subprocess.run(["npm", "pack", "--silent", f"mermaid@{VERSION}"], cwd=folder, check=True,
                           stdout=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            print("npm could not download the package mermaid, which draws the diagrams in tutorial.md", file=sys.stderr)
            return 1
        with tarfile.open(pathlib.Path(folder, f"mermaid-{VERSION}.tgz")) as package:
            script = package.extractfile("package/dist/mermaid.min.js").read()
    SCRIPT.parent.mkdir(parents=True, exist_ok=True)
    SCRIPT.write_bytes(script)
    return 0


if __name__ == "__main__":
    sys.exit(main())
