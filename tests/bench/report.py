"""The result as a Markdown page and a picture."""

import dataclasses
import datetime
import html
import json
import os
import pathlib
import platform
import subprocess

from contenders import BENCH, CORES, ROOT

MAX_MIB = 32


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    ours: bool
    mib: float
    runs: dict  # connections -> load.Run


@dataclasses.dataclass(frozen=True)
class Section:
    """Servers that did the same work in turns. Ratios refer to the first row, which is ours."""

    title: str
    rows: list

    def row(self, name):
        return next(row for row in self.rows if row.name == name)


@dataclasses.dataclass(frozen=True)
class Target:
    name: str
    required: str
    reached: str
    ok: bool


QUOTE_BEGIN = "<!-- the table of tests/bench/results.md, quoted by ./tutorial bench -->"
QUOTE_END = "<!-- end of the table -->"


class Results:
    def __init__(self, steps, effort):
        self.steps = steps
        self.effort = effort
        self.started = datetime.datetime.now(datetime.timezone.utc)
        self.load_at_start = os.getloadavg()[0]
        self.minutes = 0.0
        self.sections = []
        self.notes = []
        self.targets = []

    def compare(self, name, title, ours, theirs, at_least=0):
        """Adds a target: a ratio to the best of `theirs`, at each number of connections. Without `at_least` it is reported only."""
        section = next(section for section in self.sections if section.title == title)
        mine = section.row(ours[0].name)
        ratios = {}
        for connections, run in mine.runs.items():
            best = max(section.row(their.name).runs[connections].per_second for their in theirs)
            ratios[connections] = run.per_second / best if best else float("inf")
        shown = ", ".join(f"{_shown(ratio)} ({connections})" for connections, ratio in ratios.items())
        self.targets.append(Target(name, f"≥ {at_least}" if at_least else "reported", shown, min(ratios.values()) >= at_least))

    def require_rate(self, name, title, ours, at_least):
        """Adds a target: answers a second. take_turns() has seen to it that none failed."""
        section = next(section for section in self.sections if section.title == title)
        rates = {connections: run.per_second for connections, run in section.row(ours.name).runs.items()}
        shown = ", ".join(f"{rate:,.0f}/s ({connections})" for connections, rate in rates.items())
        self.targets.append(Target(name, f"≥ {at_least}/s, no 503", shown, min(rates.values()) >= at_least))

    def check_memory(self):
        rows = [row for section in self.sections for row in section.rows if row.ours]
        largest = max(rows, key=lambda row: row.mib)
        self.targets.append(Target("memory of any step after the run", f"≤ {MAX_MIB} MiB",
                                   f"{largest.mib:.1f} MiB ({largest.name})", largest.mib <= MAX_MIB))

    def all_reached(self):
        return all(target.ok for target in self.targets)

    def markdown(self):
        seconds = self.effort.seconds
        lines = ["# Benchmark", "",
                 f"Written by `./tutorial bench` on {self.started:%Y-%m-%d %H:%M} UTC in {self.minutes:.0f} minutes. "
                 f"{machine()} The load average was {self.load_at_start:.1f} when it began: whatever else runs "
                 "takes cores from all rows, and not from each the same.", "",
                 f"wrk over keep-alive connections; {self.effort.rounds} round(s) in turns, {seconds} s each, medians. "
                 "Every turn checks the pages and that the visits counted equal the answers received. "
                 "The last column says how many times the first row's rate that is (at each number of "
                 "connections). Memory is resident memory after the run; processes that share pages count "
                 "them once.", "", "## Targets", "", *self.table_of_targets(), "", "## Measurements", ""]
        lines += ["| | connections | requests/s | p50 ms | p99 ms | failed | MiB | first row is |", "|---|--:|--:|--:|--:|--:|--:|--:|"]
        for section in self.sections:
            lines.append(f"| **{section.title}** | | | | | | | |")
            first = section.rows[0]
            for row in section.rows:
                for connections, run in row.runs.items():
                    ratio = first.runs[connections].per_second / run.per_second if run.per_second else float("inf")
                    lines.append(f"| {row.name} | {connections} | {run.per_second:,.0f} | {run.p50_ms:.1f} | {run.p99_ms:.1f} "
                                 f"| {run.failed or ''} | {row.mib:.1f} | × {_shown(ratio)} |")
        if self.notes:
            lines += [""] + [f"* {note}" for note in self.notes]
        lines += ["", "## Versions", "", ", ".join(versions()) + ".", ""]
        return "\n".join(lines)

    def table_of_targets(self):
        lines = ["| target | must reach | reached (connections) | |", "|---|---|---|---|"]
        return lines + [f"| {target.name} | {target.required} | {target.reached} | {'yes' if target.ok else '**no**'} |"
                        for target in self.targets]

    def write(self, markdown, picture, readme):
        """Writes the result, its picture, and the table of targets that the README quotes between two marks."""
        markdown.write_text(self.markdown() + "![Requests per second](results.svg)\n")
        picture.write_text(self.svg())
        before, _, rest = readme.read_text().partition(QUOTE_BEGIN)
        after = rest.partition(QUOTE_END)[2]
        readme.write_text("\n".join([before + QUOTE_BEGIN, "", *self.table_of_targets(), "", QUOTE_END + after]))

    def svg(self):
        """Horizontal bars of requests/s, one panel for each section."""
        width, label, bar, gap, scale_width = 980, 380, 13, 4, 470
        body, y = [], 24
        for section in self.sections:
            body.append(f'<text x="10" y="{y}" class="title">{html.escape(section.title)}: requests/s</text>')
            y += 12
            most = max(run.per_second for row in section.rows for run in row.runs.values())
            for row in section.rows:
                for index, (connections, run) in enumerate(row.runs.items()):
                    length = scale_width * run.per_second / most
                    kind = ("ours" if row.ours else "peer") + (" light" if index else "")
                    name = f"{row.name}, {connections} connections"
                    body.append(f'<text x="{label - 8}" y="{y + bar - 3}" class="name">{html.escape(name)}</text>'
                                f'<rect x="{label}" y="{y}" width="{max(length, 1):.1f}" height="{bar}" class="{kind}"/>'
                                f'<text x="{label + length + 6:.1f}" y="{y + bar - 3}">{run.per_second:,.0f}</text>')
                    y += bar + gap
                y += gap
            y += 28
        style = ("text{font:11px sans-serif;fill:#222}.title{font-weight:bold;font-size:13px}.name{text-anchor:end}"
                 ".ours{fill:#1f6f8b}.peer{fill:#999}.light{opacity:.65}")
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}">'
                f'<style>{style}</style><rect width="100%" height="100%" fill="#fff"/>\n' + "\n".join(body) + "\n</svg>\n")


def _shown(ratio):
    return "∞" if ratio == float("inf") else f"{ratio:.2f}"


def machine():
    model = next((line.partition(":")[2].strip() for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines()
                  if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    return f"{model}, {CORES} cores, {memory:.0f} GiB, {system}, Linux {platform.release()}."


def _output(*command):
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return (run.stdout + run.stderr).strip()


def versions():
    packages = ["g++", "libpistache-dev", "libhiredis-dev", "libcpp-jwt-dev", "libasio-dev", "redis-server",
                "google-cloud-cli-firestore-emulator", "wrk", "gunicorn", "python3-flask", "python3-redis", "golang-go",
                "golang-github-gorilla-sessions-dev", "golang-github-boj-redistore-dev"]
    shown = _output("dpkg-query", "--show", "--showformat", "${Package} ${Version}\n", *packages).splitlines()
    commit = _output("git", "-C", str(ROOT), "rev-parse", "--short", "HEAD")
    dirty = "-dirty" if _output("git", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no") else ""
    npm = json.loads((BENCH / "peers" / "node" / "package.json").read_text())["dependencies"]
    return ([f"this repository at {commit}{dirty}"] + shown + ["node " + _output("node", "--version")]
            + [f"{name} {version}" for name, version in npm.items()])
