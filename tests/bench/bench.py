#!/usr/bin/env python3
"""The benchmark: our steps and their peers side by side, and whether the targets are reached.

Usage: bench.py [STEP] [--quick]. Run it as `./tutorial bench`, which installs what it needs.

Servers take turns (A B C A B C ...), each started afresh, on the same machine under the same load.
Each turn checks that the pages were right and that every answered visit was counted.
"""

import argparse
import contextlib
import csv
import dataclasses
import os
import resource
import secrets
import socket
import subprocess
import sys
import time

import contenders
import load
import process
import report
from contenders import BENCH, CORES, GO_PEER, PROGRAMS, ROOT

CONNECTIONS = (64, 256)
SESSIONS = 64
HOT_CONNECTIONS = 16
HOT_PROCESSES = (2, 4)
HOT_VIEWS = 40  # a second, from all processes together
IDLE_CONNECTIONS = 10_000
ROUND_TRIP_MICROSECONDS = 1000
BLOCKING_THREADS = (16, 64, 255)  # Pistache refuses more


@dataclasses.dataclass(frozen=True)
class Effort:
    """How long everything takes."""

    rounds: int
    warm_up: int
    seconds: int
    memory_seconds: int


FULL = Effort(rounds=3, warm_up=1, seconds=3, memory_seconds=120)
QUICK = Effort(rounds=1, warm_up=1, seconds=2, memory_seconds=60)


def prepare(steps):
    """Builds ours and the peers."""
    print("Building ...", flush=True)
    if not (BENCH / "peers" / "node" / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=BENCH / "peers" / "node", check=True)
    subprocess.run(["cmake", "--preset", "release"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    targets = ["bench_programs"] + [folder.name for number in steps
                                    for folder in ROOT.glob(f"step{number}_*")]
    subprocess.run(["cmake", "--build", "--preset", "release", "--target", *targets], cwd=ROOT,
                   check=True, stdout=subprocess.DEVNULL)
    go_environment = os.environ | {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode", "GOFLAGS": ""}
    subprocess.run(["go", "build", "-o", GO_PEER, "."], cwd=BENCH / "peers" / "go", check=True,
                   env=go_environment)


def take_turns(title, competing, stores, effort, connections, sessions=1):
    """Measures each contender `rounds` times, in turns. Returns a report.Section."""
    runs = {(contender.name, count): [] for contender in competing for count in connections}
    memory = {contender.name: 0.0 for contender in competing}
    for turn in range(effort.rounds):
        for contender in competing:
            print(f"{title}: {contender.name}, round {turn + 1} of {effort.rounds}", flush=True)
            with contender.running(stores) as servers:
                visitors = contender.visitors(servers.port, sessions)
                for visitor in visitors:
                    load.see_page(servers.port, visitor)
                cookies = [visitor.cookie for visitor in visitors]
                load.wrk(servers.ports, connections[0], effort.warm_up, cookies)
                for count in connections:
                    if contender.counts:
                        run = load.checked_wrk(servers.ports, count, effort.seconds, visitors, contender.browser)
                    else:
                        run = load.wrk(servers.ports, count, effort.seconds, cookies, browser=contender.browser)
                    runs[contender.name, count].append(run)
                    if contender.ours and run.failed:
                        raise load.Wrong(f"{contender.name} failed to answer: {run}\n{servers.output()}")
                memory[contender.name] = max(memory[contender.name], servers.resident_mib())
    rows = [report.Row(contender.name, contender.ours, memory[contender.name],
                       {count: load.median(runs[contender.name, count]) for count in connections})
            for contender in competing]
    return report.Section(title, rows)


@contextlib.contextmanager
def redis_running():
    port = process.free_port()
    with process.redis(port):
        yield port


def redis_url(port):
    return {"REDIS_URL": f"redis://127.0.0.1:{port}"}


def bench_step1(effort, results):
    results.sections.append(take_turns("Step 1, logged in", [contenders.step(1), *contenders.flask(1)], {}, effort,
                           CONNECTIONS))
    results.notes.append(own_latency(contenders.step(1), {}, effort))


def bench_step2(effort, results):
    with redis_running() as redis:
        results.sections.append(take_turns("Step 2, logged in", [contenders.step(2), *contenders.flask(2)],
                               redis_url(redis), effort, CONNECTIONS))


def bench_step3(effort, results):
    ours = contenders.step(3)
    flask = contenders.flask(3)
    express = contenders.node("Express, cookie-session, node-redis", "express_redis.mjs")
    express_session = contenders.node("Express, express-session, connect-redis", "express_session.mjs")
    fastify = contenders.node("Fastify, ioredis", "fastify_redis.mjs")
    redistore = contenders.go("Go, gorilla/sessions, redistore", "redis")
    cookie_store = contenders.go("Go, gorilla/sessions' cookie store, redigo", "cookie")
    blocking = contenders.blocking(BLOCKING_THREADS[0])
    with redis_running() as redis:
        results.sections.append(take_turns(
            "Step 3, logged in",
            [ours, *flask, *express, *express_session, redistore, cookie_store, blocking, *fastify,
             contenders.hello()], redis_url(redis), effort, CONNECTIONS))
        browser = [contenders.asked_by_browser(contender) for contender in (ours, contenders.hello(), *fastify)]
        results.sections.append(take_turns("Step 3, logged in, by a browser's requests", browser, redis_url(redis), effort,
                               CONNECTIONS[:1]))
        results.notes += redis_ceilings(redis)
        threads = [contenders.step(3, f"step3_ttl, {count} thread{'s' if count > 1 else ''}", count)
                   for count in range(1, CORES + 1)]
        results.sections.append(take_turns("Step 3, one thread to all cores", threads, redis_url(redis), effort,
                               CONNECTIONS))
        with distant(redis) as proxy:
            far = [contenders.step(3, "step3_ttl, 1 ms to Redis", **redis_url(proxy))]
            far_blocking = [dataclasses.replace(contenders.blocking(count), environment={
                **contenders.blocking(count).environment, **redis_url(proxy)})
                for count in BLOCKING_THREADS]
            results.sections.append(take_turns("Step 3, 1 ms of round trip to Redis", [ours, *far, *far_blocking],
                                   redis_url(redis), effort, CONNECTIONS[1:]))
        results.notes.append(own_latency(ours, redis_url(redis), effort))
        results.notes.append(idle_connections(ours, redis_url(redis), effort))
        results.notes.append(memory_over_time(ours, redis_url(redis), effort))
    results.compare("step 3 ÷ Flask on gunicorn", "Step 3, logged in", [ours], flask, 12)
    results.compare("step 3 ÷ Express + node-redis", "Step 3, logged in", [ours], express, 6)
    results.compare("step 3 ÷ Go, gorilla/sessions and redistore", "Step 3, logged in", [ours],
                    [redistore], 4)
    results.compare("step 3 ÷ Fastify + ioredis", "Step 3, logged in", [ours], fastify, 2)
    results.compare('step 3 ÷ bare Pistache "hello"', "Step 3, logged in", [ours],
                    [contenders.hello()], 0.85)
    far_title = "Step 3, 1 ms of round trip to Redis"
    results.compare("step 3 with 1 ms to Redis ÷ without", far_title, far, [ours], 0.8)
    results.compare("step 3 with 1 ms to Redis ÷ blocking hiredis", far_title, far, far_blocking, 3)


@contextlib.contextmanager
def distant(redis):
    """A port at which the same Redis is a millisecond away."""
    port = process.free_port()
    with process.delay_proxy(PROGRAMS / "delay_proxy", port, redis, ROUND_TRIP_MICROSECONDS // 2):
        yield port


def redis_ceilings(redis):
    """What Redis itself can do: commands per second by redis-benchmark."""
    script = ("local visits = redis.call('HINCRBY', KEYS[1], 'visits', 1) "
              "redis.call('EXPIRE', KEYS[1], ARGV[1]) return visits")
    commands = {"HINCRBY": ["HINCRBY", "ceiling", "visits", "1"],
                "HINCRBY and EXPIRE in a script": ["EVAL", script, "1", "ceiling", "10"]}
    lines = []
    for name, command in commands.items():
        for pipelined in (1, 16):
            output = subprocess.run(
                ["redis-benchmark", "-p", str(redis), "-c", str(CONNECTIONS[0]), "-n", "200000", "-P", str(pipelined),
                 "--csv", *command], check=True, capture_output=True, text=True).stdout
            rate = float(list(csv.reader(output.splitlines()))[-1][1])
            lines.append(f"redis-benchmark, {name}, {CONNECTIONS[0]} connections, {pipelined} at a time: "
                         f"{rate:,.0f} commands/s.")
    return lines


def bench_step4(effort, results):
    ours = contenders.step(4)
    express = contenders.node("Express, official Firestore client", "express_firestore.mjs",
                              load.arrive)
    port = process.free_port()
    with process.firestore_emulator(port):
        store = {"FIRESTORE_EMULATOR_HOST": f"127.0.0.1:{port}",
                 "GOOGLE_CLOUD_PROJECT": contenders.PROJECT}
        many, hot = "Step 4, 64 sessions", "Step 4, one hot session"
        results.sections.append(take_turns(many, [ours, *express], store, effort, CONNECTIONS[:1], SESSIONS))
        results.sections.append(take_turns(hot, [ours, *express], store, effort, (HOT_CONNECTIONS,)))
        for count in HOT_PROCESSES:
            title = f"Step 4, one hot session, {count} processes"
            several = contenders.in_instances(ours, count)
            peers = contenders.node("Express, official Firestore client", "express_firestore.mjs", load.arrive, (count,))
            results.sections.append(take_turns(title, [several, *peers], store, effort, (HOT_CONNECTIONS,)))
            results.require_rate(f"step 4, one hot session, {count} processes", title, several, HOT_VIEWS)
    results.notes.append("The Flask original of step 4 is not measured: it needs google-cloud-firestore for Python, which "
                         "Debian does not package.")
    results.compare("step 4 ÷ Express + Firestore client, 64 sessions", many, [ours], express, 4)


def bench_step5(effort, results):
    step3 = contenders.step(3)
    memory = contenders.step(5, "step5_sessionstore, memory", SESSION_STORE="memory:")
    express_session = contenders.node("Express, express-session, connect-redis", "express_session.mjs")
    redistore = contenders.go("Go, gorilla/sessions, redistore", "redis")
    title = "Step 5, logged in"
    with redis_running() as port:
        redis = contenders.step(5, "step5_sessionstore, Redis",
                                SESSION_STORE=redis_url(port)["REDIS_URL"])
        results.sections.append(take_turns(title, [redis, memory, step3, *express_session, redistore], redis_url(port),
                                           effort, CONNECTIONS))
        results.notes.append(own_latency(memory, redis_url(port), effort))
    results.compare("step 5 with Redis ÷ express-session + connect-redis", title, [redis], express_session, 6)
    results.compare("step 5 with Redis ÷ Go, gorilla/sessions and redistore", title, [redis], [redistore], 3.5)
    results.compare("step 5 with Redis ÷ step 3", title, [redis], [step3])
    results.compare("step 5 with memory ÷ step 3", title, [memory], [step3], 1)


def own_latency(contender, stores, effort):
    """The 99th percentile where the load leaves the server a core: with as many threads as cores it waits for wrk's turn."""
    with contender.running(stores) as servers:
        cookies = [visitor.cookie for visitor in contender.visitors(servers.port, 1)]
        run = load.wrk(servers.ports, CONNECTIONS[0], effort.seconds, cookies, threads=1)
    return (f"{contender.name} under one thread of wrk, {CONNECTIONS[0]} connections: {run.per_second:,.0f} requests/s, p99 "
            f"{run.p99_ms:.1f} ms.")


def idle_connections(contender, stores, effort):
    """Many clients that keep their connection and do nothing: the others are still served."""
    _, descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE_CONNECTIONS, descriptors // 2 - 500)  # the server has two for each, and keeps some for itself
    print(f"{contender.name}: {count} idle connections", flush=True)
    request = b"GET /login HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"

    def visit(connection):
        connection.sendall(request)
        if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
            raise load.Wrong("an idle connection was not served")

    with contender.running(stores) as servers, contextlib.ExitStack() as stack:
        idle = []
        for _ in range(count):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", servers.port), timeout=20))
            visit(connection)
            idle.append(connection)
        resident = servers.resident_mib()
        run = load.checked_wrk(servers.ports, CONNECTIONS[0], effort.seconds, contender.visitors(servers.port, 1))
        if run.failed:
            raise load.Wrong(f"beside idle connections: {run}")
        for connection in idle:
            visit(connection)
    return (f"{contender.name} with {count:,} idle keep-alive connections: {resident:.1f} MiB "
            f"resident, {run.per_second:,.0f} requests/s over {CONNECTIONS[0]} others, p99 "
            f"{run.p99_ms:.1f} ms; all idle connections were answered afterwards.")


def memory_over_time(contender, stores, effort):
    """Resident memory while the load goes on."""
    print(f"{contender.name}: memory over {effort.memory_seconds} s", flush=True)
    parts = 10
    with contender.running(stores) as servers:
        visitors = contender.visitors(servers.port, 1)
        samples = []
        requests = 0
        for _ in range(parts):
            run = load.checked_wrk(servers.ports, CONNECTIONS[0], effort.memory_seconds // parts, visitors)
            if run.failed:
                raise load.Wrong(f"under load for long: {run}")
            requests += run.requests
            samples.append(servers.resident_mib())
    shown = ", ".join(f"{sample:.1f}" for sample in samples)
    return (f"{contender.name} under load for {effort.memory_seconds} s ({requests:,} requests), MiB resident "
            f"after each tenth: {shown}.")


BENCHES = {1: bench_step1, 2: bench_step2, 3: bench_step3, 4: bench_step4, 5: bench_step5}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", type=int, choices=list(BENCHES), help="only this step")
    parser.add_argument("--quick", action="store_true", help="one short round, in less than 8 minutes")
    arguments = parser.parse_args()
    steps = [arguments.step] if arguments.step else [n for n in BENCHES if contenders.has_step(n)]
    effort = QUICK if arguments.quick else FULL

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.environ["SECRET_KEY"] = secrets.token_hex(32)
    prepare({*steps, 3} if 5 in steps else steps)

    started = time.monotonic()
    results = report.Results(steps, effort)
    for number in steps:
        BENCHES[number](effort, results)
    results.check_memory()
    results.minutes = (time.monotonic() - started) / 60
    print("\n" + results.markdown())
    if not arguments.step:
        results.write(BENCH / "results.md", BENCH / "results.svg", ROOT / "README.md")
        print(f"Written to {BENCH.relative_to(ROOT)}/results.md and results.svg; README.md quotes it")
    return 0 if results.all_reached() else 1


if __name__ == "__main__":
    sys.exit(main())
