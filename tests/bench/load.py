"""Load, and the checks that every answer was right."""

import dataclasses
import http.client
import json
import os
import pathlib
import re
import statistics
import subprocess
import time
import urllib.parse

WRK_SCRIPT = pathlib.Path(__file__).with_name("wrk.lua")
WRK_THREADS = 2
PAUSE_SECONDS = 0.3
RECOVERY_SECONDS = 20


@dataclasses.dataclass(frozen=True)
class Visitor:
    """Somebody with a cookie, and what the pages say to them."""

    cookie: str
    greeting: str
    counter: re.Pattern


class Wrong(Exception):
    """A server did not do the work that is measured."""


class Unavailable(Wrong):
    """A server answered that it could not do the work now."""


def fetch(port, method="GET", path="/", body=None, headers=None):
    """One request on a connection of its own: the response and its body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body, headers or {})
    response = connection.getresponse()
    return response, response.read().decode()


def _cookie_set_by(response):
    values = response.headers.get_all("Set-Cookie") or []
    return "; ".join(value.partition(";")[0] for value in values)


def log_in(port, username):
    """A visitor of steps 1 to 3 and 5."""
    form = urllib.parse.urlencode({"username": username})
    response, _ = fetch(port, "POST", "/login", form,
                        {"Content-Type": "application/x-www-form-urlencoded"})
    if response.status not in (302, 303):
        raise Wrong(f"POST /login was answered {response.status}")
    return Visitor(_cookie_set_by(response), f"Logged in as {username}", re.compile(r"Visits: (\d+)"))


def arrive(port, _username):
    """A visitor of step 4, who is known by a number."""
    response, _ = fetch(port)
    return Visitor(_cookie_set_by(response), 'views for "', re.compile(r"(\d+) views for"))


def see_page(port, visitor):
    """Visits once. The number on the page, None where it has none."""
    response, page = fetch(port, headers={"Cookie": visitor.cookie})
    if response.status >= 500:
        raise Unavailable(f"GET / was answered {response.status}:\n{page}")
    if response.status != 200 or visitor.greeting not in page:
        raise Wrong(f"{response.status} without {visitor.greeting!r}:\n{page}")
    number = visitor.counter.search(page)
    return int(number[1]) if number else None


@dataclasses.dataclass(frozen=True)
class Run:
    """What wrk saw in one run."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    bad_status: int
    socket_errors: int

    @property
    def per_second(self):
        return (self.requests - self.bad_status) / self.seconds

    @property
    def failed(self):
        return self.bad_status + self.socket_errors


def wrk(ports, connections, seconds, cookies=(), threads=WRK_THREADS, browser=False):
    """Drives the servers at these ports over keep-alive connections, which are divided among them. With the headers of a browser,
    or as few as wrk sends."""
    threads = min(max(threads, len(ports)), connections)
    command = ["wrk", f"--threads={threads}", f"--connections={connections}",
               f"--duration={seconds}s", "--timeout=30s", "--latency", "--script", WRK_SCRIPT,
               f"http://127.0.0.1:{ports[0]}/", "--", *cookies]
    environment = os.environ | {"PORTS": " ".join(map(str, ports))} | ({"BROWSER": "1"} if browser else {})
    output = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    return Run(**json.loads(output.splitlines()[-1]))


def wait_until_available(port, visitors):
    """Some peers need a while after an overload."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    for visitor in visitors:
        while True:
            try:
                see_page(port, visitor)
                break
            except Unavailable:
                if time.monotonic() > deadline:
                    raise


def settled_total(port, visitors):
    """The sum of the visitors' counters once no other request is under way, and how often each of them
    visited to see that."""
    previous = None
    for visits in range(1, 60):
        total = sum(see_page(port, visitor) for visitor in visitors)
        if previous is not None and total == previous + len(visitors):
            return total, visits
        previous = total
        time.sleep(PAUSE_SECONDS)
    raise Wrong("the counters do not settle")


def checked_wrk(ports, connections, seconds, visitors, browser=False):
    """The same, and compares what the server counted with what wrk received. When time is up, wrk
    leaves one request under way on each connection, which may or may not have been counted. A server
    that breaks down under the load, or counts wrongly, has failed once more than wrk saw."""
    run = Run(0, seconds, 0, 0, 0, 0)
    try:
        wait_until_available(ports[0], visitors)
        before, _ = settled_total(ports[0], visitors)
        run = wrk(ports, connections, seconds, [visitor.cookie for visitor in visitors], browser=browser)
        after, visits = settled_total(ports[0], visitors)
    except (Unavailable, TimeoutError):
        return dataclasses.replace(run, socket_errors=run.socket_errors + 1)
    counted = after - visits * len(visitors) - before
    if run.failed == 0 and not run.requests <= counted <= run.requests + connections:
        print(f"{run.requests} answers were received, but {counted} visits were counted", flush=True)
        return dataclasses.replace(run, socket_errors=run.socket_errors + 1)
    return run


def median(runs):
    """One Run for several: medians of the rates and latencies, sums of the counts."""
    def middle(field):
        return statistics.median(getattr(run, field) for run in runs)

    seconds = sum(run.seconds for run in runs)
    bad_status = sum(run.bad_status for run in runs)
    return Run(round(middle("per_second") * seconds) + bad_status, seconds, middle("p50_ms"),
               middle("p99_ms"), bad_status, sum(run.socket_errors for run in runs))
