"""The servers that are compared: ours and its peers. Each does the work of one step."""

import contextlib
import dataclasses
import os
import pathlib
import typing

import load
import process

BENCH = pathlib.Path(__file__).parent
ROOT = BENCH.parent.parent
BUILD = ROOT / "build" / "release"
PROGRAMS = BUILD / "bin"
GO_PEER = PROGRAMS / "go_peer"
CORES = len(os.sched_getaffinity(0))
PROJECT = "bench"


@dataclasses.dataclass(frozen=True)
class Servers:
    """What a contender consists of while it runs: processes, each with a port of its own."""

    processes: list
    ports: list

    @property
    def port(self):
        return self.ports[0]

    def resident_mib(self):
        """That of the largest, for a target is for each."""
        return max(server.resident_mib() for server in self.processes)

    def output(self):
        return "\n".join(server.output() for server in self.processes)


@dataclasses.dataclass(frozen=True)
class Contender:
    name: str
    command: tuple
    environment: dict = dataclasses.field(default_factory=dict)
    ours: bool = False
    enter: typing.Callable | None = load.log_in  # how a visitor gets a cookie
    counts: bool = True  # its pages show the number of visits
    instances: int = 1  # the load is divided among them
    browser: bool = False  # is asked as a browser asks, with twelve headers instead of two

    @contextlib.contextmanager
    def running(self, stores):
        """Starts the servers."""
        servers = Servers([], [])
        with contextlib.ExitStack() as stack:
            for _ in range(self.instances):
                port = process.free_port()
                environment = {"HOST": "127.0.0.1", "PORT": str(port), **stores, **self.environment}
                command = [str(word).replace("{port}", str(port)) for word in self.command]
                server = stack.enter_context(process.Process(command, environment))
                server.wait_until(process.answers_http(port))
                servers.processes.append(server)
                servers.ports.append(port)
            yield servers

    def visitors(self, port, count):
        if self.enter is None:
            return []
        return [self.enter(port, f"visitor{i}") for i in range(count)]


def step(number, name=None, threads=CORES, **environment):
    """Our own server."""
    names = {1: "step1_cookie_login", 2: "step2_redis_counter", 3: "step3_ttl",
             4: "step4_firestore", 5: "step5_sessionstore"}
    return Contender(name or names[number], (PROGRAMS / names[number],),
                     {"THREADS": str(threads), "QUIET": "1", **environment}, ours=True,
                     enter=load.arrive if number == 4 else load.log_in, counts=number > 1)


def has_step(number):
    return any(ROOT.glob(f"step{number}_*/main.cpp"))


def flask(number):
    """The original under gunicorn, with the workers its manual recommends."""
    application = ("gunicorn", "--chdir", BENCH / "peers" / "flask", "--bind", "127.0.0.1:{port}",
                   f"step{number}:app")
    sync = ("--workers", 2 * CORES + 1)
    threads = ("--worker-class", "gthread", "--workers", CORES, "--threads", "8")
    return [Contender(f"Flask, gunicorn, {2 * CORES + 1} sync workers", application + sync, counts=number > 1),
            Contender(f"Flask, gunicorn, {CORES} workers × 8 threads", application + threads,
                      counts=number > 1)]


def node(name, script, enter=load.log_in, counts=()):
    """In one process, and in one for each core; or in as many as `counts` says."""
    return [Contender(f"{name}, {count} process{'es' if count > 1 else ''}",
                      ("node", BENCH / "peers" / "node" / script),
                      {"NODE_ENV": "production", "PROCESSES": str(count)}, enter=enter)
            for count in counts or sorted({1, CORES})]


def in_instances(contender, count):
    """The same as several processes that know nothing of each other."""
    return dataclasses.replace(contender, name=f"{contender.name}, {count} processes", instances=count)


def asked_by_browser(contender):
    """The same under requests with a browser's headers."""
    return dataclasses.replace(contender, name=f"{contender.name}, twelve headers", browser=True)


def go(name, store):
    return Contender(name, (GO_PEER,), {"STORE": store})


def blocking(threads):
    return Contender(f"step 3 with blocking hiredis, {threads} threads",
                     (PROGRAMS / "blocking_redis",), {"THREADS": str(threads)})


def hello():
    return Contender('bare Pistache "hello"', (PROGRAMS / "pistache_hello",),
                     {"THREADS": str(CORES)}, enter=None, counts=False)
