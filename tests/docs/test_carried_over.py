"""The difference between two steps' main.cpp is the lesson: what is carried over stays byte for byte as it is."""

import dataclasses
import difflib
import re
import unittest

from tests.docs.document import ROOT


@dataclasses.dataclass
class Lesson:
    """What becomes of each function of `before` in `after`, in the order of `before`. Only what is named as changed may differ."""

    before: str
    after: str
    carried_over: tuple = ()
    changed: tuple = ()
    left_out: tuple = ()


LESSONS = (
    Lesson("step1_cookie_login", "step2_redis_counter", carried_over=("login", "logout"),
           changed=("Application", "index", "main")),
    Lesson("step2_redis_counter", "step3_ttl", carried_over=("login", "logout"),
           changed=("Application", "index", "main")),
    Lesson("step3_ttl", "step4_firestore", changed=("Application", "main"), left_out=("index", "login", "logout")),
    # Step 5 returns to the login of step 3, and takes nothing of step 4's application.
    Lesson("step3_ttl", "step5_sessionstore", changed=("Application", "index", "login", "logout", "main")),
    Lesson("step4_firestore", "step5_sessionstore", changed=("Application", "main"),
           left_out=("random_greeting", "get_session_data", "home")),
)

# Brackets in these do not count. The order matters: a raw string may hold quotes, a string may hold a comment's start.
_LITERAL = re.compile(r'R"\((?:.|\n)*?\)"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'|//[^\n]*')
_NAME = re.compile(r"(\w+)\(")
_SCOPE = re.compile(r"^\s*(namespace|class|struct)\b[^;]*\{$")


def functions_of(source):
    """The functions that a source in clang-format's layout defines: a list of (name, text), members included."""
    bare = _LITERAL.sub(lambda match: re.sub(r"[^\n]", "_", match[0]), source)
    functions = []
    lines = list(zip(source.splitlines(keepends=True), bare.splitlines()))
    position = 0
    while position < len(lines):
        first = position
        position += 1
        if _SCOPE.match(lines[first][1]):
            continue
        # A declaration goes on until its brackets are closed.
        depth = 0
        end = first
        while end < len(lines):
            depth += sum(lines[end][1].count(bracket) for bracket in "({")
            depth -= sum(lines[end][1].count(bracket) for bracket in ")}")
            if depth <= 0 and re.search(r"[;}:]$|^\s*(_*|#.*)$", lines[end][1]):
                break
            end += 1
        text = "".join(line for line, _ in lines[first:end + 1])
        bare_text = "\n".join(line for _, line in lines[first:end + 1])
        position = end + 1
        name = _NAME.search(bare_text)
        if name and bare_text.endswith("}") and "{" in bare_text[name.end():]:
            functions.append((name[1], text))
    return functions


def problems_of(lesson, before, after):
    """What in the two sources contradicts the lesson, as sentences."""
    where = f"{lesson.before}/main.cpp and {lesson.after}/main.cpp"
    old, new = dict(functions_of(before)), dict(functions_of(after))
    declared = {*lesson.carried_over, *lesson.changed, *lesson.left_out}
    problems = []
    for name in old:
        if name not in declared:
            problems.append(f"{where}: nothing says what becomes of {name}()")
    for name in lesson.carried_over + lesson.changed:
        if name not in old or name not in new:
            problems.append(f"{where}: {name}() is not in both")
    for name in lesson.left_out:
        if name not in old or name in new:
            problems.append(f"{where}: {name}() should be in the first only")
    for name, text in old.items():
        if name not in new:
            continue
        if name in lesson.changed:
            if text == new[name]:
                problems.append(f"{where}: {name}() is the same and must be named as carried over")
        elif text != new[name]:
            difference = "".join(difflib.unified_diff(
                text.splitlines(keepends=True), new[name].splitlines(keepends=True),
                f"{lesson.before}/main.cpp", f"{lesson.after}/main.cpp", n=1))
            problems.append(f"{where}: {name}() is carried over, and not byte for byte the same:\n{difference}")
    old_order = [name for name in old if name in new]
    new_order = [name for name in new if name in old]
    if old_order != new_order:
        problems.append(f"{where}: the order of the functions differs: {old_order} and {new_order}")
    return problems


class Steps(unittest.TestCase):
    def test_functions_that_a_step_carries_over_are_byte_identical(self):
        for lesson in LESSONS:
            with self.subTest(before=lesson.before, after=lesson.after):
                before, after = ((ROOT / step / "main.cpp").read_bytes().decode()
                                 for step in (lesson.before, lesson.after))
                problems = problems_of(lesson, before, after)
                if problems:
                    self.fail("\n".join(problems))

    def test_every_step_is_compared_with_the_one_before(self):
        steps = sorted(folder.name for folder in ROOT.glob("step[0-9]_*"))
        compared = {(lesson.before, lesson.after) for lesson in LESSONS}
        self.assertLessEqual(set(zip(steps, steps[1:])), compared)

    def test_every_function_is_found(self):
        # Each handler is named in main(), and main() is the last one.
        for source in ROOT.glob("step[0-9]_*/main.cpp"):
            text = source.read_bytes().decode()
            names = [name for name, _ in functions_of(text)]
            self.assertEqual(names[-1], "main", source)
            self.assertLessEqual({"Application", *re.findall(r"&Application::(\w+)", text)}, set(names), source)


class Guards(unittest.TestCase):
    BEFORE = """\
constexpr std::string_view kScript = R"(
  local function nothing() { "
)";

class Application {
 public:
  explicit Application(int number)
      : number_{number} {}

  // Says "}".
  int login(int number) const {
    return number;  // }
  }

  int logout() { return number_; }

 private:
  int number_;
};
"""
    LESSON = Lesson("step1", "step2", carried_over=("login", "logout"), changed=("Application",))

    def setUp(self):
        self.after = self.BEFORE.replace("int number)\n", "int number, Redis& redis)\n")

    def problems(self):
        return problems_of(self.LESSON, self.BEFORE, self.after)

    def test_functions_are_found(self):
        functions = functions_of(self.BEFORE)
        self.assertEqual([name for name, _ in functions], ["Application", "login", "logout"])
        self.assertEqual(functions[1][1], "  int login(int number) const {\n    return number;  // }\n  }\n")

    def test_what_is_as_declared_is_accepted(self):
        self.assertEqual(self.problems(), [])

    def test_one_changed_byte_is_reported_with_the_function_and_both_steps(self):
        self.after = self.after.replace("return number;", "return number ;")
        [problem] = self.problems()
        self.assertTrue(problem.startswith("step1/main.cpp and step2/main.cpp: login() is carried over"), problem)
        self.assertIn("-    return number;", problem)
        self.assertIn("+    return number ;", problem)
        self.assertNotIn("logout", problem)

    def test_a_changed_comment_is_reported(self):
        self.after = self.after.replace("// }", "// )")
        self.assertEqual(len(self.problems()), 1)

    def test_another_name_is_reported(self):
        self.after = self.after.replace("logout", "log_out")
        self.assertEqual(self.problems(), ["step1/main.cpp and step2/main.cpp: logout() is not in both"])

    def test_another_order_is_reported(self):
        first, second = (text for name, text in functions_of(self.after) if name != "Application")
        self.after = self.after.replace(second, "").replace(first, second + first)
        self.assertEqual(len(self.problems()), 1)
        self.assertIn("order", self.problems()[0])

    def test_a_function_that_nobody_has_declared_is_reported(self):
        before = self.BEFORE.replace("logout", "leave")
        problems = problems_of(Lesson("step1", "step2", ("login",), ("Application",)), before, before)
        self.assertIn("step1/main.cpp and step2/main.cpp: nothing says what becomes of leave()", problems)

    def test_a_change_that_is_none_is_reported(self):
        self.after = self.BEFORE
        self.assertEqual(self.problems(), [
            "step1/main.cpp and step2/main.cpp: Application() is the same and must be named as carried over"])


if __name__ == "__main__":
    unittest.main()
