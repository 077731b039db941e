"""The forms of a grader's result that other systems read, field by field as they specify them.

Each function takes the result of grade.report() and returns the text of a file. Forms that hold one submission take the first.
"""

import base64
import csv
import io
import json
import os
from xml.etree import ElementTree

EXERCISM_MESSAGE = 65535  # characters, of which the interface allows no more
EXERCISM_OUTPUT = 500


def as_json(result: dict) -> str:
    return json.dumps(result, indent=2) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", "<br>")


def markdown(result: dict) -> str:
    """A table of all submissions, and below it what each has still to do."""
    tasks = result["submissions"][0]["tasks"] if result["submissions"] else []
    lines = [f"# {result['exercise']}: {result['title']}", "",
             f"| submission | score | {' | '.join('task ' + str(task['number']) for task in tasks)} | note |",
             "|---" * (len(tasks) + 3) + "|"]
    for one in result["submissions"]:
        marks = " | ".join({"passed": "done", "failed": "not yet"}.get(task["status"], "not checked") for task in one["tasks"])
        lines.append(f"| {_cell(one['name'])} | {one['score']:g}/{one['max_score']:g} | {marks} | {_cell(one['reason'])} |")
    for one in result["submissions"]:
        for task in one["tasks"]:
            if task["status"] == "failed":
                lines += ["", f"**{one['name']}**, task {task['number']}: {task['title']}", "",
                          *("    " + line for line in task["message"].splitlines())]
    lines += ["", f"Seeds: {', '.join(result['seeds'])}"]
    return "\n".join(lines) + "\n"


def as_csv(result: dict) -> str:
    """One line per submission and task."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["submission", "status", "reason", "task", "task_status", "score", "max_score", "message"])
    for one in result["submissions"]:
        for task in one["tasks"]:
            # A text that a spreadsheet would take for a formula is a text.
            cells = [one["name"], one["status"], one["reason"], task["number"], task["status"], f"{task['score']:g}",
                     f"{task['max_score']:g}", task["message"]]
            writer.writerow([f"'{cell}" if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@") else cell for cell in cells])
    return text.getvalue()


def _xml_text(text: str) -> str:
    """Without the characters that XML 1.0 has no way to write."""
    return "".join(one if one in "\t\n\r" or " " <= one < "\ud800" or "\ue000" <= one < "\ufffe" or one > "\uffff" else "\ufffd"
                   for one in text)


def junit(result: dict) -> str:
    """A <testsuite> per submission, a <testcase> per task, with messages, which CTest's own file leaves empty."""
    root = ElementTree.Element("testsuites", name=result["exercise"])
    for one in result["submissions"]:
        count = {status: sum(task["status"] == status for task in one["tasks"]) for status in ("failed", "not checked")}
        is_error = one["status"] == "error"
        suite = ElementTree.SubElement(
            root, "testsuite", name=_xml_text(one["name"]), tests=str(len(one["tasks"])), failures=str(count["failed"]),
            errors=str(len(one["tasks"]) if is_error else 0), skipped=str(0 if is_error else count["not checked"]),
            time=f"{one['seconds']:.2f}")
        properties = ElementTree.SubElement(suite, "properties")
        ElementTree.SubElement(properties, "property", name="seeds", value=",".join(result["seeds"]))
        for task in one["tasks"]:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"{result['exercise']}.{_xml_text(one['name'])}",
                name=f"task {task['number']}: {task['title']}", time=f"{_seconds(task):.2f}")
            case_properties = ElementTree.SubElement(case, "properties")
            ElementTree.SubElement(case_properties, "property", name="task_id", value=str(task["number"]))
            if is_error:
                ElementTree.SubElement(case, "error", message=_xml_text(one["reason"]),
                                       type="error").text = _xml_text(one["output"])
            elif task["status"] == "failed":
                first = _came_line(task["message"])
                ElementTree.SubElement(case, "failure", message=_xml_text(first),
                                       type="difference").text = _xml_text(task["message"])
            elif task["status"] == "not checked":
                ElementTree.SubElement(case, "skipped", message="not checked yet")
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _seconds(task: dict) -> float:
    return sum(scenario["seconds"] for scenario in task["scenarios"])


def _came_line(message: str) -> str:
    return next((line for line in message.splitlines() if line.startswith("Expected: ")), message.split("\n")[0])


def _escaped_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escaped_property(text: str) -> str:
    return _escaped_data(text).replace(":", "%3A").replace(",", "%2C")


def github(result: dict) -> str:
    """Workflow commands that become annotations. Ten are shown per kind and step, so the table also goes to the step's
    summary, the file that GITHUB_STEP_SUMMARY names."""
    lines = []
    for one in result["submissions"]:
        for task in one["tasks"]:
            if task["status"] == "passed" or (task["status"] == "not checked" and one["status"] != "error"):
                continue
            title = f"{one['name']}: task {task['number']}, {task['title']}"
            lines.append(f"::error file={_escaped_property(result['files'][0])},line=1,endLine=1,"
                         f"title={_escaped_property(title)}::{_escaped_data(task['message'])}")
            if one["status"] == "error":
                break  # the same for every task
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        with open(summary, "a", encoding="utf-8") as file:
            file.write(markdown(result))
    return "".join(f"{line}\n" for line in lines)


def classroom(result: dict) -> str:
    """What GitHub Classroom's reporter reads: base64 of a JSON object."""
    one = result["submissions"][0]
    tests = [{"name": f"task {task['number']}: {task['title']}",
              "status": {"passed": "pass", "failed": "fail"}.get(task["status"], "error"), "score": task["score"],
              "message": task["message"], "test_code": "", "filename": result["check"], "line_no": 0,
              "duration": round(1000 * _seconds(task))} for task in one["tasks"]]
    status = {"passed": "pass", "failed": "fail"}.get(one["status"], "error")
    text = json.dumps({"version": 1, "status": status, "max_score": one["max_score"], "tests": tests})
    return base64.b64encode(text.encode()).decode() + "\n"


def gradescope(result: dict) -> str:
    """/autograder/results/results.json."""
    one = result["submissions"][0]
    tests = [{"score": task["score"], "max_score": task["max_score"],
              "status": "passed" if task["status"] == "passed" else "failed", "name": task["title"], "name_format": "text",
              "number": str(task["number"]), "output": task["message"], "output_format": "text", "tags": [result["exercise"]],
              "visibility": "visible", "extra_data": {"status": task["status"]}} for task in one["tasks"]]
    return json.dumps({
        "score": one["score"], "execution_time": round(one["seconds"]),
        "output": "\n".join(part for part in (one["reason"], one["output"]) if part), "output_format": "text",
        "test_output_format": "text", "test_name_format": "text", "visibility": "visible", "stdout_visibility": "hidden",
        "extra_data": {"seeds": result["seeds"]}, "tests": tests}, indent=2) + "\n"


def exercism(result: dict) -> str:
    """results.json of a test runner, version 3."""
    one = result["submissions"][0]
    status = {"passed": "pass", "failed": "fail"}.get(one["status"], "error")
    answer: dict = {"version": 3, "status": status}
    if status == "error":
        answer["message"] = f"{one['reason']}\n{one['output']}".strip()[:EXERCISM_MESSAGE]
        return json.dumps(answer, indent=2) + "\n"
    answer["tests"] = []
    for task in one["tasks"]:
        steps = [step for scenario in task["scenarios"] for step in scenario["steps"]]
        test = {"name": task["title"], "test_code": "\n".join(steps),
                "status": {"passed": "pass", "failed": "fail"}.get(task["status"], "error"), "task_id": task["number"]}
        if task["status"] != "passed":
            test["message"] = task["message"][:EXERCISM_MESSAGE]
        if one["output"]:
            test["output"] = one["output"][:EXERCISM_OUTPUT]
        answer["tests"].append(test)
    return json.dumps(answer, indent=2) + "\n"


FORMATS = {"json": as_json, "markdown": markdown, "csv": as_csv, "junit": junit, "github": github, "classroom": classroom,
           "gradescope": gradescope, "exercism": exercism}
