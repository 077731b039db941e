"""Each step as a visitor sees it: in Chromium, against `./tutorial run N`."""

import contextlib
import http.server
import os
import re
import subprocess
import threading
import unittest

from tests.browser import webdriver
from tests.browser.webdriver import wait_until
from tests.docs.document import ROOT
from tests.docs.running_step import RunningStep

SCREENSHOTS = ROOT / "build" / "screenshots"  # docs/cookies.png, docs/step4_*.png and docs/step5.png are copies


def skip(reason):
    """Ends a test; with CI set, as a failure."""
    kind = AssertionError if os.environ.get("CI") else unittest.SkipTest
    raise kind(f"{reason}. Run ./tutorial setup")


def setUpModule():
    missing = webdriver.missing_programs()
    if missing:
        skip(", ".join(missing) + " missing")


def has_emulator():
    """True if the driver finds the Firestore emulator."""
    return subprocess.run(["bash", "-c", ". ./tutorial; [[ -n ${FIRESTORE_EMULATOR_HOST-} ]] || find_emulator"],
                          cwd=ROOT, check=False).returncode == 0


@contextlib.contextmanager
def site(html):
    """Another site, with one page. To a browser, localhost and 127.0.0.1 are two sites."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://localhost:{server.server_port}/"
        server.shutdown()


class BrowserTest(unittest.TestCase):
    """A running step and as many visitors as a test asks for."""

    command = None
    environment = {}
    needs_emulator = False

    def setUp(self):
        if self.needs_emulator and not has_emulator():
            skip("The Firestore emulator is not installed")
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

    def test_developer_tools_show_the_cookie(self):
        # Not visitor(): the developer tools ask the server for a file of theirs, and the page's policy forbids it.
        browser, tools = (self._driver.browser(width=1000, height=520) for _ in range(2))
        self.addCleanup(browser.close)
        self.addCleanup(tools.close)
        self.log_in(browser, "alice")
        row = tools.show_cookie_of(browser, "session")
        self.assertIn("✓", row)  # HttpOnly
        self.assertIn("Lax", row)
        tools.screenshot(SCREENSHOTS / "cookies.png")

    def test_sets_a_cookie_that_goes_when_the_browser_closes(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        self.assertNotIn("expiry", browser.cookies()["session"])

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
    environment = {"SESSION_TTL": "5"}

    def test_starts_again_after_idle_time_and_stays_logged_in(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        self.assertEqual(self.visits(browser), 2)
        wait_until(lambda: self.redis("EXISTS", "user:alice").strip() == "0", "the counter expires")
        self.assertEqual(self.visits(browser), 1)
        self.log_out(browser)


class Step4Browser(BrowserTest):
    command = "./tutorial run 4"
    needs_emulator = True

    def greeting(self, browser):
        browser.open(self.step.url)
        match = re.fullmatch(r'(\d+) views for "(Hello World|Hallo Welt|Ciao Mondo|Salut le Monde|Hola Mundo)"', browser.text())
        self.assertIsNotNone(match, browser.text())
        return int(match[1]), match[2]

    def test_greets_each_browser_as_before_and_counts(self):
        first, second = (self.visitor(width=560, height=280) for _ in range(2))
        views, greeting = self.greeting(first)
        self.assertEqual(views, 1)
        for count in range(2, 6):
            self.assertEqual(self.greeting(first), (count, greeting))
        self.assertEqual(self.greeting(second)[0], 1)
        self.assertNotEqual(first.cookies()["session_id"]["value"], second.cookies()["session_id"]["value"])
        for name, browser in (("first", first), ("second", second)):
            browser.screenshot(SCREENSHOTS / f"step4_{name}.png")


class Step5Tests:
    """What a visitor of step 5 sees, whatever the store."""

    def test_counts_each_browser_on_its_own_until_the_logout(self):
        first, second = self.visitor(), self.visitor()
        self.log_in(first, "alice")
        self.assertEqual(self.visits(first), 2)
        self.log_in(second, "alice")
        self.assertEqual(self.shown_visits(second), 1)
        self.log_out(first)
        self.assertEqual(self.visits(second), 2)
        self.log_in(first, "alice")
        self.assertEqual(self.shown_visits(first), 1)

    def test_lists_the_sessions_and_ends_them_all(self):
        laptop, phone = self.visitor(width=760, height=320), self.visitor()
        self.log_in(laptop, "alice")
        self.log_in(phone, "alice")
        laptop.click_link("Your sessions")
        self.wait_for(laptop, "Sessions of alice")
        self.assertEqual(laptop.text().count("last seen"), 2)
        self.assertEqual(laptop.text().count("(this one)"), 1)
        laptop.screenshot(SCREENSHOTS / "step5.png")
        laptop.click("input[type=submit]")
        self.wait_for(laptop, "You are not logged in")
        phone.open(self.step.url)
        self.assertIn("You are not logged in", phone.text())

    def test_refuses_what_another_site_sends(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        with site(f'<form method="post" action="{self.step.url}/logout-everywhere"><input type="submit"></form>'
                  f'<a href="{self.step.url}/logout">Win a prize</a>') as other_site:
            for trick in (lambda: browser.click("input[type=submit]"), lambda: browser.click_link("Win a prize")):
                browser.open(other_site)
                trick()
                self.wait_for(browser, "The request was refused because another site sent it.")
        self.assertEqual(len(browser.console()), 2)  # one line about each 403
        self.assertEqual(self.visits(browser), 2)


class Step5Browser(Step5Tests, BrowserTest):
    command = "./tutorial run 5"
    environment = {"SESSION_TTL": "600"}


class Step5InstancesBrowser(Step5Tests, BrowserTest):
    command = "./tutorial run 5 --instances 3 --store redis"
    environment = {"SESSION_TTL": "600"}


class Step5ExpiryBrowser(BrowserTest):
    command = "./tutorial run 5"
    environment = {"SESSION_TTL": "5"}

    def test_ends_an_idle_session_which_disappears_from_the_list(self):
        idle, active = self.visitor(), self.visitor()
        self.log_in(idle, "alice")
        self.log_in(active, "alice")

        def only_one_is_left():
            active.open(self.step.url + "/sessions")
            return active.text().count("last seen") == 1

        wait_until(only_one_is_left, "the idle session disappears from the list")
        idle.open(self.step.url)
        self.assertIn("You are not logged in", idle.text())


if __name__ == "__main__":
    unittest.main()
