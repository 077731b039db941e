"""The inspector's page in Chromium, against `./tutorial inspect`."""

import base64
import contextlib
import hmac
import http.server
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time
import unittest

from tests.browser import test_browser, webdriver
from tests.browser.webdriver import wait_until
from tests.docs.document import ROOT
from tests.docs.running_step import RunningStep

setUpModule = test_browser.setUpModule
SCREENSHOTS = test_browser.SCREENSHOTS  # docs/inspector.png is a copy of one of them

# The lowest contrast of all texts on the page (WCAG 2.2, 1.4.3).
LOWEST_CONTRAST = """
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => channels(colour).slice(0, 3).map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (node) => {
    const colour = getComputedStyle(node).backgroundColor;
    return channels(colour)[3] === 0 ? background(node.parentElement) : colour;
  };
  document.getAnimations().forEach((animation) => animation.finish());
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  let lowest = [21, ''];
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || node.closest('title') || node.closest('option')) continue;
    const style = getComputedStyle(node);
    const [a, b] = [luminance(node.closest('svg') ? style.fill : style.color), luminance(background(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < lowest[0]) lowest = [contrast, walker.currentNode.data];
  }
  return lowest;
"""


class InspectorTest(test_browser.BrowserTest):
    """An inspected step, the inspector's page, and as many visitors as a test asks for."""

    maxDiff = None
    environment = {"SESSION_TTL": "60"}

    def setUp(self):
        super().setUp()
        self.inspector = re.search(r"The inspector is at (\S+)", "\n".join(self.step.output))[1]
        self.page = self.visitor(width=1600, height=1000)
        self.page.open(self.inspector)
        self.page.run("""window.shifts = [];
            new PerformanceObserver((list) => list.getEntries().forEach((entry) => entry.hadRecentInput ||
              window.shifts.push([entry.value, entry.sources.map(({node}) => node?.outerHTML?.slice(0, 80))])))
              .observe({type: 'layout-shift'})""")

    def panel(self, name):
        """What a panel says."""
        return self.page.run(f"return document.querySelector('#{name}').innerText")

    def wait_for_panel(self, name, *texts):
        wait_until(lambda: all(text in self.panel(name) for text in texts), f"#{name} shows {texts}, not {self.panel(name)}")

    def choose(self, name, text):
        """Chooses the first option of the bench that contains a text."""
        wait_until(lambda: self.page.run(
            """const select = document.querySelector(`#bench [name=${arguments[0]}]`);
            const option = [...select.options].find((option) => option.textContent.includes(arguments[1]));
            if (!option) return false;
            select.value = option.value;
            select.dispatchEvent(new Event('change'));
            return true""", name, text), f"{name} offers {text}")

    def fill(self, **fields):
        for name, value in fields.items():
            self.page.run("document.querySelector(`#bench [name=${arguments[0]}]`)[typeof arguments[1] === 'boolean' ? 'checked' : 'value'] = arguments[1]",
                          name, value)

    def press(self, attack):
        self.page.click(f"#bench [data-attack={attack}]")

    def send(self, *expected):
        """Sends what is on the bench and returns what came of it, once that has all of the expected texts."""
        self.page.run("document.querySelector('#bench .outcome').replaceChildren()")
        self.page.click("#bench [type=submit]")
        self.wait_for_bench(*expected)
        return self.page.run("return document.querySelector('#bench .outcome').innerText")

    def wait_for_bench(self, *expected):
        outcome = "return document.querySelector('#bench .outcome').innerText"
        wait_until(lambda: all(text in self.page.run(outcome) for text in expected), f"the bench shows {expected}, not {self.page.run(outcome)}")

    def drawn(self, kind):
        """How many arrows of a kind there are."""
        return self.page.run(f"return document.querySelectorAll('#happened [data-kind={kind}]').length")

    def assert_page_is_sound(self):
        """Nothing has moved, and every text can be read, in light and dark."""
        self.assertEqual(self.page.run("return window.shifts"), [])
        for scheme in ("light", "dark"):
            self.page.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            contrast, text = self.page.run(LOWEST_CONTRAST)
            self.assertGreaterEqual(contrast, 4.5, f"{scheme}: {text}")
        self.page.devtools("Emulation.setEmulatedMedia", features=[])

    def shoot(self, name):
        self.page.devtools("Emulation.setDeviceMetricsOverride", width=1600, height=1150, deviceScaleFactor=1, mobile=False)
        self.page.run("return Promise.allSettled(document.getAnimations().map(({finished}) => finished)).then(() => null)")
        self.page.screenshot(SCREENSHOTS / f"{name}.png")


class Step1(InspectorTest):
    command = "./tutorial inspect 1"

    def test_shows_the_signed_cookie_and_what_attacks_on_it_come_to(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        self.wait_for_panel("jars", "visitor 1", "valid", '"HS256"', "alice", "HttpOnly", " h left")
        self.wait_for_panel("store", "no store outside its own process")
        self.wait_for_panel("happened", "POST /login", "302", "session: valid")

        self.choose("source", "visitor 1")
        self.send("Logged in as alice", "Nothing has changed")
        for attack in ("cut", "none", "flip"):
            self.choose("source", "visitor 1")
            self.press(attack)
            self.send("You are not logged in")
        self.choose("source", "visitor 1")
        self.fill(claims='{"username":"admin"}')
        self.press("claims")
        self.send("You are not logged in")
        self.wait_for_panel("jars", "attack bench", "changed or foreign")

        self.log_out(browser)
        self.wait_for_panel("jars", "has deleted “session”")
        self.choose("source", "held before")
        self.send("Logged in as alice")  # the server cannot take back what it has signed

        self.choose("source", "no cookie")
        self.fill(method="POST", path="/login", body="username=" + 257 * "a")
        self.send("400")
        self.assert_page_is_sound()


class Step1Keys(InspectorTest):
    command = "./tutorial inspect 1"
    environment = {"SECRET_KEY": 32 * "k", "SECRET_KEY_FALLBACKS": 32 * "o"}

    def test_tells_old_keys_foreign_ones_and_expiry_apart(self):
        future, past = int(time.time()) + 3600, int(time.time()) - 3600
        for key, expiry, verdict, answer in ((32 * "k", future, "valid", "Logged in as alice"),
                                             (32 * "o", future, "signed with an old key", "Logged in as alice"),
                                             (32 * "f", future, "changed or foreign", "You are not logged in"),
                                             (32 * "k", past, "expired", "You are not logged in")):
            self.fill(name="session", value=token(key, expiry))
            self.send(answer)
            self.wait_for_panel("jars", verdict)
        self.assertNotIn(32 * "k", self.page.run("return document.documentElement.outerHTML"))


class Step2(InspectorTest):
    command = "./tutorial inspect 2"

    def test_draws_twenty_visits_at_once_and_counts_them(self):
        self.log_in(self.visitor(), "alice")
        self.wait_for_panel("happened", "HINCRBY user:alice visits 1")
        self.wait_for_panel("store", "user:alice", "no expiry", "held by visitor 1")
        before = {kind: self.drawn(kind) for kind in ("request", "call", "reply", "answer")}
        self.redis("CLIENT", "PAUSE", "700")
        self.choose("source", "visitor 1")
        self.fill(times="20")
        self.send("visits 1 → 21", "Visits: 2 ", "Visits: 21 ")
        for kind, number in before.items():
            wait_until(lambda kind=kind, number=number: self.drawn(kind) >= number + 20, f"20 more of {kind}")
            self.assertEqual(self.drawn(kind), number + 20)
        lanes = self.page.run("return [...document.querySelectorAll('.burst')].map((burst) => burst.querySelectorAll('.bar').length)")
        self.assertEqual(max(lanes), 20)
        self.assert_page_is_sound()
        self.shoot("inspector-overlap")

    def test_logs_in_as_anybody(self):
        self.choose("source", "no cookie")
        self.fill(method="POST", path="/login", body="username=alice")
        self.send("302", "Set-Cookie: session=")  # there are no passwords


class Step3(InspectorTest):
    command = "./tutorial inspect 3"
    environment = {"SESSION_TTL": "8"}

    def test_counts_down_as_redis_does(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        self.wait_for_panel("store", "user:alice", "s left")
        shown = float(re.search(r"([\d.]+) s left", self.panel("store"))[1])
        remaining = int(self.redis("PTTL", "user:alice")) / 1000
        self.assertLess(abs(shown - remaining), 1)
        wait_until(lambda: "expired at" in self.panel("store"), "the record expires", 15)
        self.assertEqual(self.redis("EXISTS", "user:alice").strip(), "0")
        self.choose("source", "visitor 1")
        self.send("Logged in as alice", "Visits: 1", "user:alice is new")
        self.assert_page_is_sound()

    def test_links_jars_and_records_of_two_browsers(self):
        first, second = self.visitor(), self.visitor()
        self.log_in(first, "alice")
        self.log_in(second, "bob")
        self.wait_for_panel("store", "user:alice", "held by visitor 1", "user:bob", "held by visitor 2")
        self.page.run("document.querySelector('#jar-2 dl .link').click()")
        self.assertEqual(self.page.run("return document.activeElement.ariaLabel"), "user:bob")
        self.page.run("document.querySelector('[aria-label=\"user:alice\"] .link').click()")
        self.assertEqual(self.page.run("return document.activeElement.id"), "jar-1")

    def test_keeps_compares_and_copies_with_the_keyboard(self):
        self.log_in(self.visitor(), "alice")
        self.wait_for_panel("happened", "POST /login", "session: valid")
        posted, visit = (self.page.run(
            "return [...document.querySelectorAll('[data-exchange]')].findLast((button) => button.textContent.includes(arguments[0])).dataset.exchange",
            text) for text in ("POST /login", "GET / 200"))
        for number in (posted, visit):
            self.page.type(f"[data-exchange='{number}']", webdriver_enter)
        kept = self.page.run("return document.querySelector('#kept').innerText")
        self.assertIn("username=alice", kept)
        self.assertIn("Logged in as alice", self.page.run("return document.querySelector('#kept').innerText"))
        self.assertGreater(self.page.run("return document.querySelectorAll('#kept .differs').length"), 2)
        command = self.page.run("return inspector.happened.curl(inspector.happened.exchange(Number(arguments[0])))", posted)
        answer = subprocess.run(["bash", "-c", command + " -s"], check=True, capture_output=True, text=True).stdout
        self.assertIn("Set-Cookie: session=", answer)
        self.page.type("#kept article:last-child button:nth-of-type(2)", webdriver_enter)
        self.send("Logged in as alice")


class Step4(InspectorTest):
    command = "./tutorial inspect 4"
    needs_emulator = True

    def test_shows_the_transaction_and_refuses_a_chosen_id(self):
        browser = self.visitor()
        browser.open(self.step.url)
        self.wait_for_panel("jars", "session_id", "a name without meaning")
        self.wait_for_panel("happened", "commit sessions/", "200")
        self.wait_for_panel("store", "sessions/", "greeting", "views", "held by visitor 1", " d ")
        number = browser.cookies()["session_id"]["value"]
        self.page.run("document.querySelector('#jars dl .link').click()")
        self.assertEqual(self.page.run("return document.activeElement.ariaLabel"), f"sessions/{number}")

        for chosen in ("my-own-id", "a/b/c", "11111111-1111-4111-8111-111111111111"):
            self.fill(name="session_id", value=chosen)
            outcome = self.send("1 views for", "is new", "Set-Cookie: session_id=")
            self.assertNotIn(f"session_id={chosen}", outcome)
        self.fill(name="", value="", times="3")
        self.assertEqual(self.send("1 views for", "is new").count(" is new"), 3)
        self.choose("source", "visitor 1")
        self.fill(times="10")
        self.send("views 1 → 11")
        self.assert_page_is_sound()


class Step5(InspectorTest):
    command = "./tutorial inspect 5 --store redis"

    def test_ends_sessions_for_good_and_renews_tokens_at_login(self):
        browser, mallory = self.visitor(), self.visitor()
        self.log_in(browser, "alice")
        self.wait_for_panel("store", "session:", "username", "alice", "held by visitor 1")
        self.page.run("document.querySelector('#jar-1 dl .link').click()")
        self.assertIn("session:", self.page.run("return document.activeElement.ariaLabel"))
        browser.open(self.step.url)
        self.wait_for_panel("store", "visits\n2")
        self.assertIn("session:", self.page.run("return document.activeElement.ariaLabel"), "after the record has changed")

        # Fixation: mallory's cookie is in alice's browser when alice logs in.
        self.log_in(mallory, "mallory")
        self.choose("source", "visitor 2")
        planted = self.page.run("return document.querySelector('#bench [name=value]').value")
        self.assertEqual(planted, mallory.cookies()["session"]["value"])
        self.choose("jar", "visitor 1")
        self.press("plant")
        self.wait_for_bench("The next answer to visitor 1")
        browser.open(self.step.url + "/login")
        wait_until(lambda: browser.cookies()["session"]["value"] == planted, "the cookie is planted")
        browser.type("input[name=username]", "alice")
        browser.click("input[type=submit]")
        self.wait_for(browser, "Logged in as alice")
        self.assertNotEqual(browser.cookies()["session"]["value"], planted)
        self.choose("source", "visitor 2")
        self.send("You are not logged in")  # the planted session is over

        # Another site's form, then a copy of the cookie after the logout.
        self.choose("source", "visitor 1")
        self.fill(method="POST", path="/logout", crossSite=True)
        self.send("403", "Nothing has changed")
        self.fill(method="GET", path="/", crossSite=False)
        self.send("Logged in as alice")
        self.log_out(browser)
        self.choose("source", "held before")
        self.send("You are not logged in", "Nothing has changed")
        self.wait_for_panel("store", "deleted at")
        self.assert_page_is_sound()


class Step5Cluster(InspectorTest):
    command = "./tutorial inspect 5 --store redis-cluster"

    def test_shows_which_node_was_called_and_all_records(self):
        users = ("alice", "bob", "carol", "dave")
        for user in users:
            self.log_in(self.visitor(), user)
        self.wait_for_panel("store", *users, "hash at 127.0.0.1:", "held by visitor 4")
        nodes = re.findall(r"Redis node \d: (\S+),", "\n".join(self.step.output))
        self.assertEqual(len(nodes), 6)
        drawn = self.page.run("return document.querySelector('#happened').textContent")
        self.assertTrue(any(f" at {node}" in drawn for node in nodes), drawn)


class Step5Memory(InspectorTest):
    command = "./tutorial inspect 5"

    def test_shows_jars_and_requests(self):
        self.log_in(self.visitor(), "alice")
        self.wait_for_panel("jars", "visitor 1", "sid", "valid")
        self.wait_for_panel("happened", "session: valid")
        self.wait_for_panel("store", "no store outside its own process")


class Step5Firestore(InspectorTest):
    command = "./tutorial inspect 5 --store firestore"
    needs_emulator = True

    def test_shows_all_panels(self):
        browser = self.visitor()
        self.log_in(browser, "alice")
        self.wait_for_panel("jars", "visitor 1", "sid", "valid")
        self.wait_for_panel("happened", "commit sessions/")
        self.wait_for_panel("store", "sessions/", "username", "alice", "held by visitor 1")
        self.choose("source", "visitor 1")
        self.send("Visits: 2", "visits 1 → 2")


class Step5Instances(InspectorTest):
    command = "./tutorial inspect 5 --store redis --instances 2"

    def test_says_which_instance_answered(self):
        first, second = self.visitor(), self.visitor()
        self.log_in(first, "alice")
        self.log_in(second, "bob")
        self.visits(first)
        self.visits(first)
        addresses = re.findall(r"instance \d: http://(\S+),", "\n".join(self.step.output))
        self.assertEqual(len(addresses), 2)
        self.wait_for_panel("happened", *(f"by {address}" for address in addresses))
        self.wait_for_panel("store", "alice", "bob", "held by visitor 1", "held by visitor 2")
        self.choose("source", "visitor 1")
        self.send("Visits: 4")
        self.shoot("inspector")

    def test_says_that_the_store_cannot_be_asked(self):
        self.redis("SHUTDOWN", "NOSAVE")
        self.page.click("#bench [type=submit]")
        self.wait_for_panel("store", "Redis: ")


class OtherServers(unittest.TestCase):
    """`./tutorial inspect --url`, and pages of other sites."""

    def setUp(self):
        if shutil.which("redis-server") is None:
            raise unittest.SkipTest("redis-server is missing. Run ./tutorial setup")
        self._driver = webdriver.Driver()
        self.addCleanup(self._driver.close)

    def browser(self):
        browser = self._driver.browser(width=1600, height=1000)
        self.addCleanup(browser.close)
        return browser

    def test_shows_a_server_in_python_and_nothing_to_other_sites(self):
        redis_port, store_address = free_port(), []
        redis = subprocess.Popen(["redis-server", "--port", str(redis_port), "--bind", "127.0.0.1", "--save", ""],
                                 stdout=subprocess.DEVNULL)
        self.addCleanup(redis.wait, 10)
        self.addCleanup(redis.terminate)
        server = self.enterContext(python_server(store_address))
        inspector = RunningStep(f"./tutorial inspect --url {server} --redis redis://127.0.0.1:{redis_port}", cwd=ROOT,
                                env={**os.environ, "PORT": "0"})
        self.addCleanup(inspector.stop)
        store_address.append(int(re.search(r"REDIS_URL=redis://127.0.0.1:(\d+)", "\n".join(inspector.output))[1]))
        address = re.search(r"The inspector is at (\S+)", "\n".join(inspector.output))[1]
        visitors = re.search(r"Visit (\S+)", "\n".join(inspector.output))[1]
        page, visitor = self.browser(), self.browser()
        page.open(address)
        visitor.open(visitors)
        visitor.open(visitors)
        text = lambda name: page.run(f"return document.querySelector('#{name}').innerText")
        wait_until(lambda: "HINCRBY visits:python" in text("happened") and "visits:python" in text("store"), "the call and its record")
        self.assertIn("visitor 1", text("jars"))
        self.assertIn("python", text("jars"))

        # Another site's page cannot read it, nor the server's own pages.
        for url in (address + "/events", address + "/store"):
            with test_browser.site("<p>other</p>") as other:
                visitor.open(other)
                outcome = visitor.run("return fetch(arguments[0]).then(() => 'read', () => 'refused')", url)
                self.assertEqual(outcome, "refused")
                frame = visitor.run("""return new Promise((resolve) => {
                    const script = document.createElement('script');
                    script.src = arguments[0]; script.onload = () => resolve('ran'); script.onerror = () => resolve('refused');
                    document.body.append(script)})""", address + "/main.js")
                self.assertEqual(frame, "refused")


class RedisWithTls(unittest.TestCase):
    def test_gives_the_server_an_address_without_tls(self):
        inspector = RunningStep("./tutorial inspect --url http://127.0.0.1:1 --redis rediss://ada:sesame@127.0.0.1:1/3", cwd=ROOT,
                                env={**os.environ, "PORT": "0"})
        self.addCleanup(inspector.stop)
        self.assertRegex("\n".join(inspector.output), r"REDIS_URL=redis://ada:sesame@127\.0\.0\.1:\d\d+/3")


def token(key, expiry):
    """A cookie as step 1 signs it."""

    def encoded(data):
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    claims = {"aud": "cpp-sessions/username", "exp": expiry, "iat": expiry - 7200, "username": "alice"}
    text = encoded(b'{"alg":"HS256","typ":"JWT"}') + b"." + encoded(json.dumps(claims).encode())
    return (text + b"." + encoded(hmac.digest(key.encode(), text, "sha256"))).decode()


webdriver_enter = "\ue007"  # https://www.w3.org/TR/webdriver2/#keyboard-actions


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def python_server(store_address):
    """A student's server: counts visits in Redis, with a cookie that is no token."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            with socket.create_connection(("127.0.0.1", store_address[0])) as redis:
                redis.sendall(b"*4\r\n$7\r\nHINCRBY\r\n$13\r\nvisits:python\r\n$6\r\nvisits\r\n$1\r\n1\r\n")
                visits = redis.recv(100).decode().strip(":\r\n")
            body = f"Visits: {visits}".encode()
            self.send_response(200)
            self.send_header("Set-Cookie", "name=python; Path=/")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


if __name__ == "__main__":
    unittest.main()
