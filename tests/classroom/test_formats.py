"""Each form of a grader's result against the fields that its readers specify."""

import base64
import csv
import io
import json
import os
import tempfile
import unittest
from unittest import mock
from xml.etree import ElementTree

from exercises.tool import formats

SCENARIO = {"task": 1, "name": "EachCounts", "outcome": "passed", "steps": ["anna: GET /"], "sent": "GET /", "expected": "",
            "came": "", "wrong_way": "", "seconds": 0.25}


def task(number, status, message=""):
    return {"number": number, "title": f"Title {number}", "status": status, "score": 1.0 if status == "passed" else 0.0,
            "max_score": 1.0, "message": message, "scenarios": [SCENARIO]}


RESULT = {
    "version": 1, "exercise": "count", "title": "Count", "check": "exercises/count/check.cpp", "files": ["a,b/main.cpp"],
    "seeds": ["s1", "s2"], "protections": [], "missing_protections": [],
    "submissions": [
        {"name": "=anna|x", "status": "failed", "reason": "", "score": 1.0, "max_score": 3.0, "seconds": 2.5, "output": "o" * 600,
         "tasks": [task(1, "passed"), task(2, "failed", "1. GET /\nExpected: 100%, <b>: yes\nCame: \x01\x1b no"),
                   task(3, "not checked", "not checked yet")]},
        {"name": "bert", "status": "error", "reason": "does not compile", "score": 0.0, "max_score": 1.0, "seconds": 1.0,
         "output": "e" * 70000, "tasks": [task(1, "not checked", "does not compile")]},
    ]}
ERROR_FIRST = RESULT | {"submissions": RESULT["submissions"][::-1]}
PASSED = RESULT | {"submissions": [RESULT["submissions"][0] | {"status": "passed", "tasks": [task(1, "passed")]}]}


class Exercism(unittest.TestCase):
    def test_failed(self):
        answer = json.loads(formats.exercism(RESULT))
        self.assertEqual((answer["version"], answer["status"]), (3, "fail"))
        self.assertNotIn("message", answer)
        self.assertEqual([test["status"] for test in answer["tests"]], ["pass", "fail", "error"])
        self.assertEqual([test["task_id"] for test in answer["tests"]], [1, 2, 3])
        for test in answer["tests"]:
            self.assertLessEqual(set(test), {"name", "test_code", "status", "message", "output", "task_id"})
            self.assertLessEqual(len(test["output"]), 500)
        self.assertNotIn("message", answer["tests"][0])
        self.assertEqual(answer["tests"][0]["test_code"], "anna: GET /")

    def test_error_has_message_and_no_tests(self):
        answer = json.loads(formats.exercism(ERROR_FIRST))
        self.assertEqual(answer["status"], "error")
        self.assertTrue(answer["message"].startswith("does not compile\neee"))
        self.assertEqual(len(answer["message"]), 65535)
        self.assertNotIn("tests", answer)

    def test_passed(self):
        self.assertEqual(json.loads(formats.exercism(PASSED))["status"], "pass")


class Gradescope(unittest.TestCase):
    def test_fields(self):
        answer = json.loads(formats.gradescope(RESULT))
        self.assertEqual(set(answer), {
            "score", "execution_time", "output", "output_format", "test_output_format", "test_name_format", "visibility",
            "stdout_visibility", "extra_data", "tests"})
        self.assertEqual(answer["score"], 1.0)
        self.assertEqual(answer["execution_time"], 2)
        for test in answer["tests"]:
            self.assertEqual(set(test), {
                "score", "max_score", "status", "name", "name_format", "number", "output", "output_format", "tags",
                "visibility", "extra_data"})
            self.assertIn(test["status"], ("passed", "failed"))
            self.assertIn(test["visibility"], ("hidden", "after_due_date", "after_published", "visible"))
            self.assertIsInstance(test["number"], str)
        self.assertEqual(sum(test["score"] for test in answer["tests"]), answer["score"])


class Junit(unittest.TestCase):
    def test_messages_are_not_empty(self):
        root = ElementTree.fromstring(formats.junit(RESULT).encode())
        first, second = root.findall("testsuite")
        self.assertEqual((first.get("tests"), first.get("failures"), first.get("errors"), first.get("skipped")),
                         ("3", "1", "0", "1"))
        self.assertEqual((second.get("tests"), second.get("failures"), second.get("errors"), second.get("skipped")),
                         ("1", "0", "1", "0"))
        failure = first.find("testcase/failure")
        self.assertEqual((failure.get("message"), failure.get("type")), ("Expected: 100%, <b>: yes", "difference"))
        self.assertIn("Came: \ufffd\ufffd no", failure.text)
        ids = [one.get("value") for one in first.findall("testcase/properties/property[@name='task_id']")]
        self.assertEqual(ids, ["1", "2", "3"])
        self.assertEqual(first.find("testcase").get("time"), "0.25")
        self.assertEqual(second.find("testcase/error").get("message"), "does not compile")


class Github(unittest.TestCase):
    def test_annotations_are_escaped(self):
        with mock.patch.dict(os.environ):
            os.environ.pop("GITHUB_STEP_SUMMARY", None)
            first, second = formats.github(RESULT).splitlines()
        self.assertTrue(first.startswith(
            "::error file=a%2Cb/main.cpp,line=1,endLine=1,title==anna|x%3A task 2%2C Title 2::1. GET /%0AExpected: 100%25, "),
            first)
        self.assertIn("::does not compile", second)

    def test_step_summary(self):
        with tempfile.NamedTemporaryFile("r+") as file, mock.patch.dict(os.environ, GITHUB_STEP_SUMMARY=file.name):
            formats.github(RESULT)
            self.assertEqual(file.read(), formats.markdown(RESULT))

    def test_classroom(self):
        answer = json.loads(base64.b64decode(formats.classroom(RESULT)))
        self.assertEqual(set(answer), {"version", "status", "max_score", "tests"})
        self.assertEqual((answer["version"], answer["status"], answer["max_score"]), (1, "fail", 3.0))
        for test in answer["tests"]:
            self.assertEqual(set(test), {
                "name", "status", "score", "message", "test_code", "filename", "line_no", "duration"})
            self.assertIn(test["status"], ("pass", "fail", "error"))
        self.assertEqual(answer["tests"][0]["duration"], 250)


class Tables(unittest.TestCase):
    def test_csv_has_a_row_per_task_and_no_formula(self):
        rows = list(csv.reader(io.StringIO(formats.as_csv(RESULT))))
        self.assertEqual(rows[0], ["submission", "status", "reason", "task", "task_status", "score", "max_score", "message"])
        self.assertEqual(len(rows), 5)
        self.assertEqual(rows[1][0], "'=anna|x")
        self.assertIn("Came:", rows[2][7])

    def test_markdown_has_a_row_per_submission(self):
        text = formats.markdown(RESULT)
        self.assertIn("| =anna\\|x | 1/3 | done | not yet | not checked |  |", text)
        self.assertIn("| bert | 0/1 | not checked | does not compile |", text)
        self.assertIn("    Expected: 100%, <b>: yes", text)

    def test_json_is_the_result(self):
        self.assertEqual(json.loads(formats.as_json(RESULT)), RESULT)


if __name__ == "__main__":
    unittest.main()
