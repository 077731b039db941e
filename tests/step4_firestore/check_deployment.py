"""What can be checked of step 4's deployment without Docker and without Google Cloud.

The YAML files can be read, the commands name what is there, every path that the Dockerfile copies exists, every setting has
its place, and the program runs in a root directory that holds nothing but itself and the libraries of the packages that the
image's last stage installs.

Usage: check_deployment.py REPOSITORY PROGRAM. Needs root, dpkg, and Debian 12, whose packages the image has; else exits with
77, which CTest shows as a skip.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def check(condition: bool, message: str) -> None:
    if not condition:
        sys.exit(f"check_deployment: {message}")


def check_yaml(folder: pathlib.Path) -> None:
    try:
        import yaml
    except ImportError:
        print("skipped, because python3-yaml is missing: the YAML files' syntax")
        return
    app = yaml.safe_load((folder / "app.yaml").read_text())
    check(app["runtime"] == "custom" and app["env"] == "flex", "app.yaml is not for the flexible environment")
    build = yaml.safe_load((folder / "cloudbuild.yaml").read_text())
    arguments = build["steps"][0]["args"]
    dockerfile = arguments[arguments.index("--file") + 1]
    check((folder.parent / dockerfile).is_file(), f"{dockerfile} does not exist")


def check_commands(folder: pathlib.Path) -> None:
    """docs/deploying.md is the only place that has the commands."""
    text = (folder.parent / "docs" / "deploying.md").read_text()
    for name in re.findall(r"^gcloud .*\bstep4_firestore/([\w.]+)", text, re.MULTILINE):
        check((folder / name).is_file(), f"docs/deploying.md deploys with {name}, which does not exist")
    settings = re.findall(r"^gcloud builds submit .*--substitutions=(\w+)=", text, re.MULTILINE)
    check(bool(settings), "docs/deploying.md does not say how the image is built")
    for name in settings:
        check(f"${name}" in (folder / "cloudbuild.yaml").read_text(), f"cloudbuild.yaml does not use {name}")


def stages_of(dockerfile: pathlib.Path) -> list[str]:
    """The instructions of each stage, continued lines joined."""
    text = re.sub(r"\\\n", " ", dockerfile.read_text())
    return re.split(r"^FROM ", text, flags=re.MULTILINE)[1:]


def packages_of(stage: str) -> list[str]:
    words = re.search(r"apt-get install (.*?)(?:&&|$)", stage, re.MULTILINE).group(1).split()
    return [word for word in words if not word.startswith("-")]


def field(package: str, name: str) -> str:
    return subprocess.run(["dpkg-query", "-W", f"-f=${{{name}}}\n", package], capture_output=True, text=True).stdout.split("\n")[0]


def with_dependencies(packages: list[str]) -> set[str]:
    found: set[str] = set()
    waiting = list(packages)
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        found.add(package)
        for alternatives in field(package, "Depends").split(","):
            for alternative in alternatives.split("|"):
                name = re.sub(r"[ :(].*", "", alternative.strip())
                if name and field(name, "Status") == "install ok installed":
                    waiting.append(name)
                    break
    return found


def copy_libraries(package: str, root: pathlib.Path) -> None:
    files = subprocess.run(["dpkg", "-L", package], capture_output=True, text=True).stdout.split("\n")
    for name in files:
        if ".so" not in name or not os.path.isfile(name):
            continue
        target = root / os.path.realpath(os.path.dirname(name)).lstrip("/") / os.path.basename(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, target)


def check_program(program: str, packages: list[str]) -> None:
    for package in packages:
        check(field(package, "Status") == "install ok installed" or package == "ca-certificates",
              f"the Dockerfile installs {package}, which this machine does not have")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "usr/lib").mkdir(parents=True)
        (root / "usr/lib64").mkdir()
        for name in ("lib", "lib64"):
            (root / name).symlink_to(f"usr/{name}")
        for package in with_dependencies(packages):
            copy_libraries(package, root)
        loader = pathlib.Path("/lib64/ld-linux-x86-64.so.2")
        if loader.exists():
            shutil.copy(loader, root / "usr/lib64")
        shutil.copy(program, root / "step4_firestore")
        ran = subprocess.run(["chroot", folder, "/step4_firestore", "--check"], capture_output=True, text=True,
                             env={"PATH": os.environ["PATH"], "FIRESTORE_EMULATOR_HOST": "127.0.0.1:1"})
        check(ran.returncode == 1 and "127.0.0.1:1" in ran.stderr,
              f"the program does not run with the image's packages: {ran.returncode}\n{ran.stdout}{ran.stderr}")


def main() -> int:
    repository, program = pathlib.Path(sys.argv[1]), sys.argv[2]
    folder = repository / "step4_firestore"
    check_yaml(folder)
    check_commands(folder)
    build, final = stages_of(folder / "Dockerfile")
    for sources in re.findall(r"^COPY (?!--from)(.*) \S+$", build, re.MULTILINE):
        for source in sources.split():
            check((repository / source).exists(), f"the Dockerfile copies {source}, which does not exist")
    folders = re.findall(r"add_(?:subdirectory|step)\((\w+)\b", (repository / "CMakeLists.txt").read_text())
    for name in folders:
        check(f"COPY {name} " in build, f"the Dockerfile does not copy {name}, which CMakeLists.txt adds")
    check("HOST=0.0.0.0" in final and "USER" in final, "the image must listen on all addresses, not as root")
    is_debian_12 = "VERSION_CODENAME=bookworm" in pathlib.Path("/etc/os-release").read_text()
    if os.geteuid() != 0 or not is_debian_12:
        print("skipped: the program in an empty root; needs root and Debian 12")
        return SKIPPED
    check_program(program, packages_of(final))
    return 0


if __name__ == "__main__":
    sys.exit(main())
