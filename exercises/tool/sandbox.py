"""Runs what nobody has read yet.

The base is util-linux: namespaces of users, mounts, processes and network, limits, and a clock. In a sandbox there are
three users, none of whom is anybody outside: 0 runs the check and its Redis, 1 what was submitted, 2 the servers that an
attack is run against. So results and tests are out of a submission's reach, and a server's secrets out of an exploit's.
Everything in it ends with it, whatever it has detached itself from. A control group bounds memory and processes of all
together; where there is none, the resident memory is watched.
"""

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .catalogue import ROOT

CHECK_USER, SUBMISSION_USER, SERVER_USER = 0, 1, 2
HIDDEN = ("/home", "/root", "/tmp", "/var/tmp", "/dev/shm", "/mnt", "/media", "/srv")
CGROUPS = Path("/sys/fs/cgroup")
KEPT_OUTPUT = 8192  # bytes of each end


@dataclass(frozen=True)
class Limits:
    seconds: int
    memory: int = 1 << 30
    processes: int = 100
    file_size: int = 64 << 20


@dataclass
class Outcome:
    exit_code: int
    output: str
    timed_out: bool = False
    out_of_memory: bool = False
    out_of_processes: bool = False


class KeptOutput:
    """Reads a pipe to its end, and keeps the beginning and the end of what came."""

    def __init__(self, pipe):
        self._pipe, self._beginning, self._end, self._dropped = pipe, b"", b"", 0
        self._thread = threading.Thread(target=self._drain, daemon=True)
        self._thread.start()

    def _drain(self):
        while block := self._pipe.read1(65536):
            first = block[:KEPT_OUTPUT - len(self._beginning)]
            self._beginning += first
            self._end += block[len(first):]
            self._dropped += max(0, len(self._end) - KEPT_OUTPUT)
            self._end = self._end[-KEPT_OUTPUT:]

    def text(self) -> str:
        self._thread.join(5)
        self._pipe.close()
        middle = f"\n[{self._dropped} bytes left out]\n".encode() if self._dropped else b""
        return (self._beginning + middle + self._end).decode(errors="replace")


# Arguments: the first of the three users outside, the folders to hide, the folder to keep, --, the command. It runs as root of
# the machine, in namespaces of its own, until the user namespace is entered.
_PREPARE = r"""
set -e
first=$1 keep=$2 repository=$3; shift 3
ip link set lo up
# What is kept may lie in what is hidden: it is held at a place that is not, meanwhile.
mkdir -p /run/classroom-keep /run/classroom-repository
mount --bind "$keep" /run/classroom-keep
mount --bind "$repository" /run/classroom-repository
while [ "$1" != -- ]; do
  [ ! -d "$1" ] || mount -t tmpfs -o size=64m,mode=1777,nosuid,nodev tmpfs "$1"
  shift
done
shift
mkdir -p "$repository"
mount --bind /run/classroom-repository "$repository"
mkdir -p "$keep"
mount --bind /run/classroom-keep "$keep"
umount /run/classroom-keep /run/classroom-repository
# The map is written before anything is executed inside: a program that starts as nobody has no rights there.
unshare --user sleep infinity &
until [ "$(readlink /proc/$!/ns/user)" != "$(readlink /proc/self/ns/user)" ]; do sleep 0.01; done
echo "0 $first 3" >/proc/$!/uid_map
echo "0 $first 3" >/proc/$!/gid_map
nsenter --user=/proc/$!/ns/user --setuid 0 --setgid 0 -- "$@"
"""


def as_user(user: int, limits: Limits) -> list[str]:
    """The command, for use inside, that runs another as one of the three users. It is the first to go when memory ends."""
    return ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs", "--bounding-set=-all",
            "--inh-caps=-all", "choom", "-n", "1000", "--", "prlimit", f"--nproc={limits.processes}",
            f"--fsize={limits.file_size}", "--nofile=1024", "--core=0", "--"]


class _Cgroup:
    """A control group of version 1 or 2, made directly below the root of its hierarchy."""

    def __init__(self, name: str, limits: Limits):
        self._folders: list[Path] = []
        self._settings: list[tuple[Path, str]] = []
        if (CGROUPS / "cgroup.controllers").exists():
            folder = CGROUPS / name
            self._folders = [folder]
            self._settings = [(folder / "memory.max", str(limits.memory)), (folder / "memory.swap.max", "0"),
                              (folder / "pids.max", str(2 * limits.processes))]
        elif (CGROUPS / "memory").is_dir() and (CGROUPS / "pids").is_dir():
            self._folders = [CGROUPS / "memory" / name, CGROUPS / "pids" / name]
            self._settings = [(self._folders[0] / "memory.limit_in_bytes", str(limits.memory)),
                              (self._folders[1] / "pids.max", str(2 * limits.processes))]

    def make(self) -> bool:
        """False where there is no such thing, or it is not ours to use."""
        try:
            for folder in self._folders:
                folder.mkdir()
            for file, value in self._settings:
                if file.exists() or file.name != "memory.swap.max":
                    file.write_text(value)
            return bool(self._folders)
        except OSError:
            self.remove()
            return False

    def enter(self) -> list[str]:
        """The command that puts itself into the group and executes the one after it."""
        files = " ".join(str(folder / "cgroup.procs") for folder in self._folders)
        return ["sh", "-c", f'for file in {files}; do echo $$ >"$file"; done; exec "$@"', "sh"]

    def _number(self, file: str, key: str) -> int:
        for folder in self._folders:
            if (folder / file).exists():
                for line in (folder / file).read_text().splitlines():
                    if line.startswith(key):
                        return int(line.split()[-1])
        return 0

    def ran_out_of_memory(self) -> bool:
        return self._number("memory.events", "oom_kill ") > 0 or self._number("memory.oom_control", "oom_kill ") > 0

    def ran_out_of_processes(self) -> bool:
        return self._number("pids.events", "max ") > 0

    def remove(self) -> None:
        deadline = time.monotonic() + 5
        for folder in self._folders:
            while folder.exists() and time.monotonic() < deadline:
                try:
                    folder.rmdir()
                except OSError:
                    time.sleep(0.02)  # its last process is still being buried


def _resident(users: range) -> int:
    """The resident memory of all processes of these users, in bytes."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
            if int(lines["Uid"].split()[0]) in users:
                total += int(lines.get("VmRSS", "0 kB").split()[0]) * 1024
        except (OSError, KeyError, ValueError):
            continue  # it has just ended
    return total


@dataclass
class Sandbox:
    """Where submissions are compiled and run. `folder` is the only place that they share with the machine."""

    folder: Path
    first_user: int
    hidden: Sequence[str] = HIDDEN
    use_cgroup: bool = True
    _count: int = field(default=0, init=False)

    def give(self, path: Path, user: int) -> None:
        """Lets a user of the sandbox own a file or folder, and nobody else read it."""
        os.chown(path, self.first_user + user, self.first_user + user)
        path.chmod(0o700)

    def run(self, command: Sequence[str], user: int, limits: Limits, environment: dict[str, str],
            working_folder: Path = Path("/")) -> Outcome:
        self._count += 1
        cgroup = _Cgroup(f"classroom-{os.getpid()}-{self.first_user}-{self._count}", limits)
        has_cgroup = self.use_cgroup and cgroup.make()
        inner = list(command) if user == CHECK_USER else [*as_user(user, limits), *command]
        words = [*(cgroup.enter() if has_cgroup else []),
                 "timeout", "-k", "2", str(limits.seconds),
                 "unshare", "--mount", "--net", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc",
                 "sh", "-c", _PREPARE, "sh", str(self.first_user), str(self.folder), str(ROOT), *self.hidden, "--", "sh", "-c",
                 'cd "$1" && shift && exec "$@"', "sh", str(working_folder), *inner]
        outcome = Outcome(0, "")
        try:
            # Of the machine's environment nothing but the way to the programs.
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment})
            output = KeptOutput(process.stdout)
            users = range(self.first_user, self.first_user + 3)
            started = time.monotonic()
            deadline = started + limits.seconds + 10
            while process.poll() is None and time.monotonic() < deadline:
                if not has_cgroup and _resident(users) > limits.memory:
                    outcome.out_of_memory = True
                    break
                time.sleep(0.02 if has_cgroup else 0.1)
            if process.poll() is None:
                process.terminate()
            outcome.exit_code = process.wait(20)
            # 137 may also be what the kernel killed for want of memory.
            outcome.timed_out = (outcome.exit_code in (124, 137) and not outcome.out_of_memory
                                 and time.monotonic() - started >= limits.seconds)
            outcome.output = output.text()
            if has_cgroup:
                outcome.out_of_memory = cgroup.ran_out_of_memory()
                outcome.out_of_processes = cgroup.ran_out_of_processes()
            return outcome
        finally:
            if has_cgroup:
                cgroup.remove()


@dataclass(frozen=True)
class Protections:
    """What this machine offers, each as seen by a trial."""

    active: tuple[str, ...]
    missing: tuple[str, ...]
    has_base: bool
    has_cgroup: bool


_TRIAL = r"""
[ "$(id -u)" = 1 ] && echo user
[ "$(tail -n +3 /proc/net/dev | wc -l)" = 1 ] && echo network
[ "$(ls -d /proc/[0-9]* | wc -l)" -lt 20 ] && echo processes
[ ! -e "$1" ] && echo files
ulimit -f | grep -q '^[0-9]' && echo limits
"""


def probe(folder: Path, first_user: int) -> Protections:
    """Tries each protection."""
    needed = {
        "user": "users of its own, in a user namespace", "network": "a network of its own, with loopback only",
        "processes": "a process namespace that ends with everything in it",
        "files": "private /tmp, homes hidden", "limits": "limits for time, processes, file size and output"}
    found: set[str] = set()
    sandbox = Sandbox(folder, first_user)
    marker = Path("/tmp") / f"classroom-probe-{os.getpid()}"
    if os.geteuid() == 0 and all(shutil.which(tool) for tool in ("unshare", "setpriv", "prlimit", "timeout", "choom", "ip")):
        marker.touch()
        try:
            outcome = sandbox.run(["sh", "-c", _TRIAL, "sh", str(marker)], SUBMISSION_USER, Limits(10), {})
            found = set(outcome.output.split()) & needed.keys()
        finally:
            marker.unlink()
    cgroup = _Cgroup(f"classroom-probe-{os.getpid()}", Limits(10))
    has_cgroup = os.geteuid() == 0 and cgroup.make()
    if has_cgroup:
        cgroup.remove()
    memory = "memory and processes bounded by a control group" if has_cgroup else "resident memory watched (no control group)"
    active = [text for name, text in needed.items() if name in found]
    return Protections(
        tuple([*active, memory] if found else []), tuple(text for name, text in needed.items() if name not in found),
        len(found) == len(needed), has_cgroup)
