"""./tutorial check: a running server, in whatever language, against the rules of CONTRACT.md.

The scenarios in tests/ say of each rule whether it was kept or broken. What takes time, or more than one server, is checked
here: the idle timeout, and counting on two servers at once.
"""

import http.client
import json
import re
import secrets
import subprocess
import tempfile
import time
import urllib.parse
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from .builder import READERS, Build
from .catalogue import ROOT, ExerciseError, step_folder

ROW = re.compile(r"^\| `(?P<id>[a-z0-9-]+\.[a-z0-9-]+)` \| (?P<steps>[\d, ]+) \| (?P<weight>\w+) \| (?P<what>.+) \| (?P<why>.+) \|$")
KEPT, BROKEN, NOT_CHECKED = "kept", "broken", "not checked"
SCENARIO_SECONDS = 60


@dataclass
class Rule:
    """A row of CONTRACT.md, and what was found."""

    id: str
    weight: str
    what: str
    status: str = NOT_CHECKED
    findings: list[str] = field(default_factory=list)


def rules_of(step: int, path: Path = ROOT / "CONTRACT.md") -> dict[str, Rule]:
    rows = [match for match in map(ROW.match, path.read_text(encoding="utf-8").splitlines()) if match]
    return {row["id"]: Rule(row["id"], row["weight"], row["what"]) for row in rows
            if str(step) in re.split(r", *", row["steps"])}


def note(rules: dict[str, Rule], name: str, is_kept: bool, finding: str = "") -> None:
    """A rule that was broken once is broken."""
    if rule := rules.get(name):
        if not is_kept:
            rule.status = BROKEN
            rule.findings.append(finding)
        elif rule.status == NOT_CHECKED:
            rule.status = KEPT


def without_noise(failure: str) -> str:
    """What GoogleTest says of a failed expectation, without places in the source and in the words of the other checks."""
    lines = iter(failure.splitlines())
    told = []
    for line in lines:
        if re.search(r"\.[ch]pp:\d+$", line) or line.startswith("Value of:"):
            continue
        if line == "Google Test trace:":
            break
        if line == "Expected equality of these values:":
            came, expected = _two_values(list(lines))
            told += [f"Expected: {expected}", f"Came: {came}"]
            break
        told.append(re.sub(r"^(\s*)Actual:\s*", r"\1Came: ", line))
    return "\n".join(told)


def _two_values(lines: list[str]) -> tuple[str, str]:
    """The two sides of an EXPECT_EQ: what came, and what was expected. A side that is no literal is followed by its value."""
    values: list[str] = []
    for line in lines:
        if line == "Google Test trace:":
            break
        value = line.strip().removeprefix("Which is: ")
        if not line.strip().startswith("Which is: "):
            values.append(value)
        elif values and not value.startswith("0x"):  # the address of a literal says nothing
            values[-1] = value
    values = ["nothing" if value in ("(nullopt)", "std::nullopt") else value for value in values]
    return (values[0], values[-1]) if values else ("", "")


def read_report(rules: dict[str, Rule], report: dict) -> None:
    """Takes the properties `rule:ID` from GoogleTest's JSON."""
    for suite in report.get("testsuites", []):
        for test in suite.get("testsuite", []):
            # The same finding at several places is one.
            failures = "\n".join(dict.fromkeys(without_noise(one["failure"]) for one in test.get("failures", [])))
            for key, value in test.items():
                if key.startswith("rule:"):
                    note(rules, key.removeprefix("rule:"), value == KEPT, f"{words(test['name'])}\n{failures}")


def words(name: str) -> str:
    """LoginPageHasForm becomes "login page has form"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=\d)", " ", name).lower()


class Client:
    """A browser with one cookie jar, as small as it can be."""

    def __init__(self, url: str):
        self._place = urllib.parse.urlsplit(url).netloc
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, form: dict | None = None) -> tuple[int, str]:
        connection = http.client.HTTPConnection(self._place, timeout=5)
        try:
            headers = {}
            if self.cookies:
                headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
            body = None
            if form is not None:
                body = urllib.parse.urlencode(form)
                headers["Content-Type"] = "application/x-www-form-urlencoded"
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            for line in answer.msg.get_all("Set-Cookie") or []:
                name, _, value = line.split(";")[0].partition("=")
                self.cookies[name.strip()] = value.strip()
            return answer.status, answer.read(1 << 20).decode(errors="replace")
        finally:
            connection.close()

    def log_in(self, name: str) -> None:
        self.ask("POST", "/login", {"username": name})

    def visits(self) -> int:
        """The number on the page; -1 if there is none."""
        found = re.search(r"Visits:\s*(\d+)", self.ask("GET", "/")[1])
        return int(found[1]) if found else -1


def preflight(urls: list[str]) -> None:
    for url in urls:
        try:
            Client(url).ask("GET", "/")
        except (OSError, http.client.HTTPException) as error:
            raise ExerciseError(
                f"nothing answers at {url} ({error}). Start your server, and name its address with --url") from None


def check_idle_timeout(rules: dict[str, Rule], step: int, url: str, ttl: float) -> None:
    """One user stays active across the timeout, one is idle for a little longer than it, at the same time."""
    ends, renewed = ("session.idle", "session.idle") if step == 5 else ("expiry.restart", "expiry.renewed")

    def stay_active() -> None:
        client = Client(url)
        client.log_in(f"active{secrets.token_hex(4)}")
        seen = [client.visits()]
        for _ in range(3):
            time.sleep(0.4 * ttl)
            seen.append(client.visits())
        note(rules, renewed, seen == [1, 2, 3, 4],
             f"a visit every {0.4 * ttl:.1f} s with an idle timeout of {ttl:g} s\nExpected: Visits: 1, 2, 3, 4\nCame: {seen}")

    def stay_idle() -> None:
        client = Client(url)
        client.log_in(f"idle{secrets.token_hex(4)}")
        before = client.visits()
        time.sleep(ttl + 1)
        after = client.visits()
        expected = -1 if step == 5 else 1
        another = "\nIf SESSION_TTL is set to something else than that, say so: --ttl SECONDS" if after == before + 1 else ""
        note(rules, ends, (before, after) == (1, expected),
             f"one visit, a pause of {ttl + 1:g} s, one visit, with an idle timeout of {ttl:g} s\nExpected: Visits: 1, then "
             f"{'nobody is logged in' if step == 5 else 'Visits: 1 again'}\nCame: {before}, then {after}{another}")

    with ThreadPoolExecutor(2) as pool:
        for result in [pool.submit(stay_active), pool.submit(stay_idle)]:
            result.result()


def check_counting(rules: dict[str, Rule], step: int, urls: list[str]) -> None:
    """A hundred visits at the same time, on all servers in turn, show 1 to 100."""
    login = Client(urls[0])
    login.log_in(f"many{secrets.token_hex(4)}")

    def visit(number: int) -> int:
        client = Client(urls[number % len(urls)])
        client.cookies = dict(login.cookies)
        return client.visits()

    with ThreadPoolExecutor(20) as pool:
        numbers = sorted(pool.map(visit, range(100)))
    missing = sorted(set(range(1, 101)) - set(numbers))
    note(rules, "session.atomic" if step == 5 else "counter.atomic", numbers == list(range(1, 101)),
         f"100 visits at the same time on {len(urls)} server{'s' if len(urls) > 1 else ''}\n"
         f"Expected: each of 1 to 100 once\nCame: {len(set(numbers))} different numbers; missing are {missing[:10]}")


def check_key(rules: dict[str, Rule], step: int, url: str, redis: str) -> None:
    """The counter's key after exactly one visit, as Redis has it."""
    name = f"key{secrets.token_hex(4)}"
    client = Client(url)
    client.log_in(name)
    client.visits()

    def command(*arguments: str) -> str:
        return subprocess.run(["redis-cli", "-u", redis, *arguments], capture_output=True, text=True).stdout.strip()

    visits = command("HGET", f"user:{name}", "visits")
    note(rules, "counter.key", visits == "1", f"HGET user:{name} visits after one visit\nExpected: 1\nCame: {visits or 'nothing'}")
    if step == 3:
        keys = command("KEYS", f"*{name}*").split()
        expiries = [command("TTL", key) for key in keys]
        note(rules, "expiry.one-unit", bool(expiries) and "-1" not in expiries,
             f"TTL of {' '.join(keys)} after exactly one visit\nExpected: a positive number\nCame: {' '.join(expiries)}")


def run_scenarios(rules: dict[str, Rule], build: Build, step: int, url: str) -> None:
    with tempfile.TemporaryDirectory(prefix="check-") as folder:
        report = Path(folder) / "report.json"
        command = [build.folder / "bin" / f"test_{step_folder(step)}", f"--gtest_filter=Step{step}Contract.*",
                   f"--gtest_output=json:{report}"]
        try:
            subprocess.run(command, env={"PATH": "/usr/bin:/bin", "SESSIONS_URL": url}, stdout=subprocess.DEVNULL,
                           stderr=subprocess.DEVNULL, timeout=SCENARIO_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        if report.exists():
            # A server's bytes need not be UTF-8, and GoogleTest writes them as they came.
            read_report(rules, json.loads(report.read_bytes().decode(errors="replace"), strict=False))


def check(build: Build, step: int, urls: list[str], ttl: float | None, redis: str | None) -> dict[str, Rule]:
    """Everything that can be seen of a server from outside. `ttl` is the server's idle timeout, if it is not the default."""
    rules = rules_of(step)
    checks = [lambda: run_scenarios(rules, build, step, urls[0])]
    if step in (3, 5):
        checks.append(lambda: check_idle_timeout(rules, step, urls[0], ttl or 10))
    if step in (2, 3, 5):
        checks.append(lambda: check_counting(rules, step, urls))
    if step in (2, 3) and redis:
        checks.append(lambda: check_key(rules, step, urls[0], redis))
    with ThreadPoolExecutor(len(checks)) as pool:
        for result in [pool.submit(one) for one in checks]:
            try:
                result.result()
            except (OSError, http.client.HTTPException) as error:
                raise ExerciseError(f"the server has stopped answering ({error})") from None
    return rules


def text_of(step: int, rules: dict[str, Rule]) -> str:
    """The verdict, for people: the first line says it all."""
    broken = [rule for rule in rules.values() if rule.status == BROKEN]
    essential = [rule for rule in broken if rule.weight == "essential"]
    counts = {status: sum(rule.status == status for rule in rules.values()) for status in (KEPT, BROKEN, NOT_CHECKED)}
    first = f"This is a step {step}: it keeps every essential rule that was checked" if not essential else \
        f"This is no step {step} yet: it breaks {len(essential)} essential rule{'s' if len(essential) > 1 else ''}"
    lines = [f"{first} ({counts[KEPT]} kept, {counts[BROKEN]} broken, {counts[NOT_CHECKED]} not checked)."]
    order = {"essential": 0, "good": 1, "polish": 2}
    for rule in sorted(broken, key=lambda one: order.get(one.weight, 3)):
        lines += ["", f"{rule.id} ({rule.weight}): {rule.what}"]
        for line in rule.findings[0].rstrip().splitlines()[:30]:
            lines.append(f"  {line}")
    not_checked = [rule.id for rule in rules.values() if rule.status == NOT_CHECKED]
    if not_checked:
        lines += ["", "Not checked from outside: " + ", ".join(not_checked)]
    return "\n".join(lines) + "\n"


def run(arguments) -> int:
    """Carries out `./tutorial check`: 0 if no essential rule is broken, 1 otherwise, 2 if there is nothing to check."""
    step = arguments.step
    urls = arguments.url or [f"http://127.0.0.1:{8080 if step == 4 else 5000}"]
    preflight(urls)
    build = READERS
    build.make(f"test_{step_folder(step)}")
    rules = check(build, step, urls, arguments.ttl, arguments.redis)
    print(text_of(step, rules), end="")
    return 1 if any(rule.status == BROKEN and rule.weight == "essential" for rule in rules.values()) else 0
