"""Hostile submissions of the exercise count-logins, each made from its solution, and what each has to be graded as."""

from dataclasses import dataclass, field
from pathlib import Path

from exercises.tool import tree
from exercises.tool.catalogue import load

FILE = "step2_redis_counter/main.cpp"
MAIN = "int main(int argc, char** argv) {\n"


@dataclass(frozen=True)
class Animal:
    """`expected` is the status, `reason` a part of the reason. `edits` are made in the solution."""

    expected: str
    reason: str
    edits: tuple[tuple[str, str], ...] = ()
    includes: tuple[str, ...] = ()
    before: str = ""
    link_to: str = ""
    message: str = field(default="")


def _in_main(code: str) -> tuple[tuple[str, str], ...]:
    return ((MAIN, MAIN + code + "\n"),)


ZOO = {
    "honest": Animal("passed", ""),
    "endless-loop": Animal("failed", "does not start", _in_main("for (volatile int number = 0;;) { number = number + 1; }")),
    "orphan": Animal("passed", "", _in_main(
        "if (fork() == 0) { setsid(); if (fork() == 0) { for (;;) { pause(); } } _exit(0); }"), ("unistd.h",)),
    "fork-bomb": Animal("failed", "does not start", _in_main("for (;;) { fork(); }"), ("unistd.h",)),
    "log-flood": Animal("passed", "", _in_main(
        "std::thread{[] { const std::string line(1 << 16, 'x'); for (;;) { write(2, line.data(), line.size()); } }}.detach();"),
        ("thread", "unistd.h")),
    "eight-gigabytes": Animal("failed", "took too much memory", _in_main(
        "std::vector<std::string> all; for (int n = 0; n < 8192; ++n) { all.emplace_back(1 << 20, 'x'); }"), ("vector",)),
    "stops-itself": Animal("failed", "does not answer", ((
        "  asio::awaitable<Response> index(Request request) {\n",
        "  asio::awaitable<Response> index(Request request) {\n    raise(SIGSTOP);\n"),), ("csignal",)),
    "wrong-port": Animal("failed", "does not answer", _in_main(
        'puts("step2_redis_counter listening on http://127.0.0.1:1"); fflush(stdout); for (;;) { pause(); }'),
        ("cstdio", "unistd.h")),
    "link-to-a-secret": Animal("error", "is a link", link_to="/etc/shadow"),
    "forged-results": Animal("failed", "does not start", _in_main(
        'for (const char* place : {"results", "/tmp/results", "/dev/shm/results", "/proc/1/cwd/results"}) {\n'
        '  std::ofstream{place} << R"({"task":1,"test":"EachLoginCounts","outcome":"passed","steps":[],"seconds":0})";\n'
        '}\n'
        'puts("[  PASSED  ] 6 tests."); return 0;'), ("cstdio", "fstream")),
    # Of its user there is nobody else to kill.
    "kills-everybody": Animal("passed", "", _in_main("kill(-1, SIGKILL);"), ("csignal", "unistd.h")),
    "does-not-compile": Animal("error", "does not compile", _in_main("this is not C++")),
    "endless-template": Animal("error", "compiling it took more than", before=(
        "template <int N, int M> struct Tree { static constexpr long value = Tree<N - 1, 2 * M>::value + "
        "Tree<N - 1, 2 * M + 1>::value; };\n"
        "template <int M> struct Tree<0, M> { static constexpr long value = M; };\n"
        "static_assert(Tree<28, 1>::value != 7);\n")),
    "hard-coded": Animal("failed", "", ((
        'logins.is_nil() ? "0" : logins.string()', '*username == "alice" ? "2" : "1"'),), message="Logins: 2"),
    "reads-the-check": Animal("error", "does not compile", before=f'#include "{load("count-logins").folder}/solution.diff"\n'),
}


def write_zoo(folder: Path) -> dict[str, Path]:
    """Writes each animal as a submission."""
    solution = folder / "solution"
    tree.write_variant(load("count-logins"), "solution", solution)
    source = (solution / FILE).read_text()
    submissions = {}
    for name, animal in ZOO.items():
        submissions[name] = folder / name
        file = folder / name / FILE
        file.parent.mkdir(parents=True)
        if animal.link_to:
            file.symlink_to(animal.link_to)
            continue
        text = source
        for old, new in animal.edits:
            assert text.count(old) == 1, (name, old)
            text = text.replace(old, new)
        includes = "".join(f"#include <{header}>\n" for header in animal.includes)
        file.write_text(includes + animal.before + text)
    return submissions
