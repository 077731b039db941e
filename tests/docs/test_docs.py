"""Each guard of the docs tool, seen to fire."""

import pathlib
import re
import tempfile
import unittest

from tests.docs import console, contract, diagrams, links, snippets
from tests.docs.document import DOCUMENTS, ROOT, DocumentError, blocks_of, outside_blocks, read_lines, replace_blocks

SOURCE = """\
int main() {
  //! [greet]
  if (true) {
    greet();
  }
  //! [greet]
}
"""


class Folder(unittest.TestCase):
    """A test with a small repository of its own."""

    def setUp(self):
        files = tempfile.TemporaryDirectory()
        self.addCleanup(files.cleanup)
        self.root = pathlib.Path(files.name).resolve()

    def write(self, name, text):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path


class Snippets(Folder):
    def fill(self, *lines):
        sources = snippets.Sources(self.root)
        lines = list(lines)
        return replace_blocks(lines, blocks_of(lines, "t.md"), snippets.fill(lines, "t.md", sources)), sources

    def test_a_region_is_injected_unindented_and_without_markers(self):
        self.write("step1/main.cpp", SOURCE)
        filled, sources = self.fill("<!-- snippet: step1/main.cpp [greet] -->", "```cpp", "old", "```")
        self.assertEqual(filled[1:], ["```cpp", "if (true) {", "  greet();", "}", "```"])
        self.assertEqual(sources.unused(), [])

    def test_a_whole_file_is_injected(self):
        self.write("step4/app.yaml", "runtime: custom\n")
        filled, _ = self.fill("<!-- snippet: step4/app.yaml -->", "```yaml", "```")
        self.assertEqual(filled[1:], ["```yaml", "runtime: custom", "```"])

    def test_a_missing_region_is_reported(self):
        self.write("step1/main.cpp", SOURCE)
        with self.assertRaisesRegex(DocumentError, r"no region \[leave\]"):
            self.fill("<!-- snippet: step1/main.cpp [leave] -->", "```cpp", "```")

    def test_a_missing_file_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "no file step4/app.yaml"):
            self.fill("<!-- snippet: step4/app.yaml -->", "```yaml", "```")

    def test_hand_written_cpp_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "comes from the sources"):
            self.fill("```cpp", "int x;", "```")

    def test_a_comment_without_a_block_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "needs a block"):
            self.fill("<!-- snippet: step1/main.cpp [greet] -->", "words")

    def test_an_unused_region_is_reported(self):
        self.write("step1/main.cpp", SOURCE)
        _, sources = self.fill("words")
        self.assertEqual(sources.unused(), ["step1/main.cpp: the region [greet] is shown nowhere"])

    def test_a_region_that_is_carried_over_unchanged_counts_as_shown(self):
        self.write("step1/main.cpp", SOURCE)
        self.write("step2/main.cpp", SOURCE)
        self.write("step3/main.cpp", SOURCE.replace("greet()", "greet(2)"))
        _, sources = self.fill("<!-- snippet: step1/main.cpp [greet] -->", "```cpp", "```")
        self.assertEqual(sources.unused(), ["step3/main.cpp: the region [greet] is shown nowhere"])

    def test_a_region_that_is_not_closed_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "is not closed"):
            snippets.regions_of("//! [a]\nint x;\n", "main.cpp")

    def test_nested_and_crossing_regions_are_reported(self):
        for text in ("//! [a]\n//! [b]\nint x;\n//! [b]\n//! [a]\n", "//! [a]\n//! [b]\n//! [a]\n//! [b]\n"):
            with self.assertRaisesRegex(DocumentError, "nested"):
                snippets.regions_of(text, "main.cpp")

    def test_a_repeated_region_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "appears twice"):
            snippets.regions_of("//! [a]\nint x;\n//! [a]\n//! [a]\nint y;\n//! [a]\n", "main.cpp")

    def test_an_empty_region_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "is empty"):
            snippets.regions_of("//! [a]\n//! [a]\n", "main.cpp")

    def test_a_marker_that_is_misspelt_is_reported(self):
        for marker in ("//![a]", "int x;  //! [a]", "//! a"):
            with self.assertRaisesRegex(DocumentError, "not a marker"):
                snippets.regions_of(f"{marker}\n", "main.cpp")


class Blocks(unittest.TestCase):
    def test_a_block_that_is_not_closed_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "not closed"):
            blocks_of(["```console", "$ ls"], "t.md")


class Links(Folder):
    def problems(self, text):
        return links.problems(self.write("t.md", text), self.root)

    def test_what_exists_is_accepted(self):
        self.write("docs/picture.png", "")
        self.write("other.md", "# Step 1: log in\n\n## Again\n\n## Again\n\n## Again\n")
        self.write("tests/step1.cpp", "TEST_F(Step1, LogsIn) {}\n")
        self.write("tests/browser/test_browser.py", "class Step3(Case):\n    def test_counts(self):\n")
        self.assertEqual(self.problems(
            "# Here\n![p](docs/picture.png) [a](#here) [b](other.md#step-1-log-in) [c](other.md#again-1) [c](other.md#again-2)\n"
            "[d](https://www.rfc-editor.org/rfc/rfc6265#section-5.4) `Step1.LogsIn` `Step3.test_counts` `tests/step1.cpp`\n"
            "`[not](a-link)`\n```sh\n[nor](this)\n```\n"), [])

    def test_what_does_not_exist_is_reported(self):
        self.write("tests/step1.cpp", "TEST_F(Step1, LogsIn) {}\n")
        for text in ("[a](missing.md)", "[a](#nowhere)", "[a](t.md#nowhere)", "[a](https://)", "[a](htps://a.org)",
                     "[a](../../etc/passwd)", "`tests/step2.cpp`", "`Step1.LogsOut`"):
            with self.subTest(text):
                self.assertEqual(len(self.problems(f"# Here\n{text}\n")), 1)


class Contract(Folder):
    ROW = "| `cookie.http-only` | 1, 2 | essential | It is `HttpOnly`. | Scripts, [Step 1](tutorial.md#step-1) |"

    def problems(self, *rows):
        self.write("tests/a_test.cpp", 'const Rule rule{"cookie.http-only"};\n')
        return contract.problems(list(rows), "CONTRACT.md", self.root)

    def test_a_rule_that_a_scenario_names_is_accepted(self):
        self.assertEqual(self.problems("| id |", self.ROW), [])

    def test_what_does_not_agree_is_reported(self):
        for rows in ([], [self.ROW, self.ROW], [self.ROW, self.ROW.replace("http-only", "path")],
                     [self.ROW.replace("essential", "vital")], [self.ROW.replace("](tutorial.md#step-1)", "]")],
                     [self.ROW, "| `cookie.path` | 1 | good |"]):
            with self.subTest(rows):
                self.assertEqual(len(self.problems(*rows)), 1)


class Tutorial(unittest.TestCase):
    def test_every_step_has_the_same_headings(self):
        chapters = {}
        for _, line in outside_blocks(read_lines(ROOT / "tutorial.md"), "tutorial.md"):
            if line.startswith("## "):
                headings = chapters[line] = []
            elif line.startswith("### "):
                headings.append(line[4:])
        steps = [headings for title, headings in chapters.items() if title.startswith("## Step ")]
        self.assertEqual(steps, 5 * [[
            "Goal", "Run it", "What is new", "What to notice", "What is still wrong", "Check yourself", "Exercises"]])

    def test_every_page_is_checked_and_found_from_the_text(self):
        text = (ROOT / "tutorial.md").read_text()
        pages = {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}
        self.assertLessEqual({"docs/deploying.md", "docs/debugging.md"}, pages)
        self.assertLessEqual(pages, set(DOCUMENTS))
        self.assertEqual({page for page in pages if f"]({page}" not in text}, set())

    def test_what_is_asked_is_answered(self):
        text = (ROOT / "tutorial.md").read_text()
        for chapter in text.split("\n### Check yourself\n")[1:]:
            questions = chapter.split("\n### ")[0]
            self.assertGreaterEqual(len(re.findall(r"^\d\. .*\?$", questions, re.MULTILINE)), 3)
            self.assertEqual(len(re.findall(r"^\d\. ", questions, re.MULTILINE)), questions.count("<summary>Answer</summary>"))


class Console(unittest.TestCase):
    def canonical(self, *lines, patterns=None):
        return console.canonical(list(lines), patterns or console.PATTERNS)

    def test_a_block_is_taken_apart_and_put_together(self):
        lines = ["$ curl -s \\", "  http://localhost", "hello", "", "$ ls"]
        commands = console.commands_of(lines, "t.md")
        self.assertEqual([(c.text, c.output) for c in commands],
                         [("curl -s \\\n  http://localhost", ["hello", ""]), ("ls", [])])
        self.assertEqual(console.lines_of(commands), lines)

    def test_output_without_a_command_is_reported(self):
        with self.assertRaisesRegex(DocumentError, "starts with a command"):
            console.commands_of(["hello"], "t.md")

    def test_what_varies_is_compared_by_name(self):
        self.assertEqual(self.canonical("Date: Sat, 21 Nov 2026 04:12:20 GMT", '{"iat":1795234567}'),
                         ["Date: <date>", '{"iat":<seconds since 1970>}'])
        self.assertEqual(self.canonical("session=eyJhbGciOiJIUzI1NiJ9.eyJhIjoxfQ.x-_y; Path=/"),
                         ["session=<signed token>; Path=/"])

    def test_what_does_not_vary_is_compared_as_it_is(self):
        for text in ("Visits: 2", "Content-Length: 151", "session=; Path=/", "HTTP/1.1 302 Found"):
            self.assertEqual(self.canonical(text), [text])

    def test_a_block_declares_a_pattern_of_its_own(self):
        block = blocks_of(["<!-- pattern: seconds = ^(8|9|10)$ -->", "```console", "```"], "t.md")[0]
        patterns = console.patterns_of(block, "t.md")
        self.assertEqual(self.canonical("9", "10", patterns=patterns), ["<seconds>", "<seconds>"])
        self.assertEqual(self.canonical("7", patterns=patterns), ["7"])

    def test_ports_are_translated_both_ways(self):
        ports = console.Ports()
        ports.learn(["step3_ttl listening on http://127.0.0.1:41873", "redis://127.0.0.1:33211"])
        self.assertEqual(ports.to_real("curl localhost:5000/ && redis-cli -p 6379"),
                         "curl localhost:41873/ && redis-cli -p 33211")
        self.assertEqual(ports.to_text("http://127.0.0.1:41873/ x41873 41873.5"), "http://127.0.0.1:5000/ x41873 41873.5")

    def test_a_wrong_output_is_reported_and_replaced(self):
        lines = ["```console", "$ name=alice; echo old", "new", "```", "```console", "$ echo $name", "alice", "```"]
        contents, differences = console.run_blocks(lines, "t.md")
        self.assertEqual(contents, [["$ name=alice; echo old", "old"], ["$ echo $name", "alice"]])
        self.assertEqual(differences, ["t.md:2: $ name=alice; echo old\n  text: new\n  real: old"])


class Diagrams(unittest.TestCase):
    def test_a_diagram_that_cannot_be_drawn_is_reported(self):
        lines = ["```mermaid", "sequenceDiagram", "  A->>B: hello", "```", "```mermaid", "sequenceDiagrm", "```"]
        try:
            problems = diagrams.problems(lines, "t.md")
        except diagrams.Unavailable as reason:
            self.skipTest(str(reason))
        self.assertEqual(len(problems), 1)
        self.assertRegex(problems[0], "^t.md:6: .*sequenceDiagrm")


if __name__ == "__main__":
    unittest.main()
