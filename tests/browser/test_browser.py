"""Each step as a visitor sees it: in Chromium, against `./tutorial run N`."""

import contextlib
import functools
import http.server
import os
import pathlib
import re
import shutil
import subprocess
import threading
import unittest

from tests.browser import webdriver
from tests.browser.webdriver import wait_until
from tests.docs.document import ROOT
from tests.docs.running_step import RunningStep

SCREENSHOTS = ROOT / "build" / "screenshots"  # `./tutorial docs` copies them from there


def setUpModule():
    missing = webdriver.missing_programs()
    if missing:
        message = ", ".join(missing) + " missing. Run ./tutorial setup"
        if os.environ.get("CI"):
            raise AssertionError(message)
        raise unittest.SkipTest(message)


class BrowserTest(unittest.TestCase):
    """A running step and as many visitors as a test asks for."""

    command = None
    environment = {}

    def setUp(self):
        self.step = RunningStep(self.command, cwd=ROOT, env={"PORT": "0", **self.environment})
        self.addCleanup(self.step.stop)
        self._driver = webdriver.Driver()
        self.addCleanup(self._driver.close)

    def visitor(self, **window):
        """A browser that no site knows. At the end of the test its console must be empty."""
        browser = self._driver.browser(**window)
        self.addCleanup(browser.close)
        self.addCleanup(lambda: self.assertEqual(browser.console(), []))
        return browser

    def log_in(self, browser, name):
        browser.open(self.step.url)
        self.assertIn("You are not logged in", browser.text())
        browser.click_link("Log in")
        browser.type("input[name=username]", name)
        browser.click("input[type=submit]")
        self.wait_for(browser, f"Logged in as {name}")
        self.assertEqual(browser.address(), self.step.url + "/")

    def wait_for(self, browser, text):
        """Waits until the page shows a text. A click may return before the next page is there."""
        wait_until(lambda: text in browser.text(), f"the page shows '{text}'")

    def log_out(self, browser):
        browser.click_link("Log out")
        self.wait_for(browser, "You are not logged in")
        self.assertEqual(browser.cookies(), {})

    def visits(self, browser):
        """What the counter shows when the page is opened again."""
        browser.open(self.step.url)
        return self.shown_visits(browser)

    def shown_visits(self, browser):
        return int(re.search(r"Visits: (\d+)", browser.text())[1])

    def redis(self, *command):
        port = re.search(r"redis://127\.0\.0\.1:(\d+)", "\n".join(self.step.output))[1]
        return subprocess.run(["redis-cli", "-p", port, *command], check=True, capture_output=True, text=True).stdout


class Step1Browser(BrowserTest):
    command = "./tutorial run 1"

    def test_logs_in_and_out(self):
        browser = self.visitor()
        self.log_in(browser, "Zoë <b>")
        self.assertEqual(browser.run("return document.querySelectorAll('b').length"), 0)
        self.log_out(browser)

    def test_hides_the_cookie_from_scripts_and_other_sites(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        cookie = browser.cookies()["session"]
        self.assertTrue(cookie["httpOnly"])
        self.assertEqual(cookie["sameSite"], "Lax")
        self.assertEqual(browser.run("return document.cookie"), "")

    def test_refuses_an_empty_name_before_it_is_sent(self):
        browser = self.visitor()
        browser.open(self.step.url + "/login")
        browser.click("input[type=submit]")
        self.assertEqual(browser.address(), self.step.url + "/login")
        self.assertEqual(browser.cookies(), {})


class Step2Browser(BrowserTest):
    command = "./tutorial run 2"

    def test_counts_the_visits_of_a_user_in_all_browsers(self):
        first, second = self.visitor(), self.visitor()
        self.log_in(first, "alice")
        self.assertEqual(self.shown_visits(first), 1)
        self.assertEqual(self.visits(first), 2)
        self.log_in(second, "alice")
        self.assertEqual(self.shown_visits(second), 3)
        self.log_out(first)
        self.log_in(first, "alice")
        self.assertEqual(self.shown_visits(first), 4)


class Step3Browser(BrowserTest):
    command = "./tutorial run 3"
    environment = {"SESSION_TTL": "2"}

    def test_starts_again_after_idle_time_and_stays_logged_in(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        self.assertEqual(self.visits(browser), 2)
        wait_until(lambda: self.redis("EXISTS", "user:alice").strip() == "0", "the counter expires")
        self.assertEqual(self.visits(browser), 1)
        self.log_out(browser)


if __name__ == "__main__":
    unittest.main()
