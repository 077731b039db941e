"""A browser that a test drives: Chromium over the W3C WebDriver protocol (https://www.w3.org/TR/webdriver2/)."""

import base64
import contextlib
import json
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that the protocol gives to elements
_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--remote-allow-origins=*",  # so that one browser may show another one's developer tools
]

# The cookies of the page's address are below "Cookies" in the tree on the left. All of it is in shadow trees.
_CHOOSE_COOKIES = """
  const inside = (root) => [...root.querySelectorAll('*')].flatMap((element) =>
    [element, ...(element.shadowRoot ? inside(element.shadowRoot) : [])]);
  const items = inside(document).filter((element) => element.role === 'treeitem');
  const above = items.findIndex((item) => item.textContent.trim() === 'Cookies');
  items[above + 1]?.dispatchEvent(new MouseEvent('mousedown', {bubbles: true, composed: true}));
  inside(document).find((element) => element.localName === 'button' && element.title === 'Refresh')?.click();
  const name = inside(document).find((element) => element.localName === 'td' && element.textContent === arguments[0]);
  return name ? [...name.parentElement.children].map((cell) => cell.textContent) : [];
"""


def missing_programs():
    """The programs that a browser needs and that are not there."""
    return [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]


class WebDriverError(Exception):
    """The browser refused a command."""


class Driver:
    """chromedriver on a free port. Each browser() is one visitor with cookies of their own."""

    def __init__(self):
        # It takes a port that is free for IPv6, and ends if somebody has the same one for IPv4.
        for _ in range(5):
            if self._start():
                return
            self.close()
        raise WebDriverError(f"chromedriver did not start: {self._said}")

    def _start(self):
        """True once it listens, false if it has ended."""
        self._process = subprocess.Popen(
            ["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self._said = ""
        for line in self._process.stdout:
            self._said += line
            if match := re.search(r"started successfully on port (\d+)", line):
                self.url = f"http://127.0.0.1:{match[1]}"
                return True
        return False

    def browser(self, width=800, height=600):
        return Browser(self.url, width, height)

    def close(self):
        self._process.terminate()
        self._process.wait(10)
        self._process.stdout.close()


class Browser:
    """One Chromium with a profile of its own."""

    def __init__(self, driver_url, width, height):
        self._profile = tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True)
        options = {"binary": shutil.which("chromium"),
                   "args": [*_FLAGS, f"--window-size={width},{height}", f"--user-data-dir={self._profile.name}"]}
        capabilities = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._url = driver_url + "/session"
        session = self._send("POST", "", {"capabilities": {"alwaysMatch": capabilities}})
        self._url += "/" + session["sessionId"]
        self._debugger = session["capabilities"]["goog:chromeOptions"]["debuggerAddress"]

    def open(self, url):
        self._send("POST", "/url", {"url": url})

    def address(self):
        return self._send("GET", "/url")

    def text(self):
        """What the visitor reads."""
        return self._send("GET", f"/element/{self._find('body')}/text")

    def type(self, selector, text):
        self._act(selector, "value", {"text": text})

    def click(self, selector):
        self._act(selector, "click", {})

    def click_link(self, text):
        self._send("POST", f"/element/{self._find(text, 'link text')}/click", {})

    def cookies(self):
        """The cookies of the page's address, by name."""
        return {cookie["name"]: cookie for cookie in self._send("GET", "/cookie")}

    def run(self, script, *arguments):
        """The result of a script that the page runs; a promise is awaited."""
        return self._send("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def console(self):
        """What the browser has written to its console since the last call, except about a missing icon."""
        entries = self._send("POST", "/se/log", {"type": "browser"})
        return [entry["message"] for entry in entries if "/favicon.ico" not in entry["message"]]

    def devtools(self, command, **parameters):
        """Runs a command of the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/)."""
        return self._send("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def show_cookie_of(self, other, name):
        """Opens the developer tools of another browser's page, with its cookies, as a page of this one. Returns the cookie's row."""
        with urllib.request.urlopen(f"http://{other._debugger}/json") as answer:
            page = next(target["id"] for target in json.load(answer) if target["type"] == "page")
        self.open(f"http://{other._debugger}/devtools/inspector.html?panel=resources&ws={other._debugger}/devtools/page/{page}")
        self.run("localStorage.setItem('screencast-enabled', 'false'); location.reload()")
        # The first choice may come before there is anything to list, and nothing but their button reads the list anew. For that a busy
        # machine needs time.
        return wait_until(lambda: self.run(_CHOOSE_COOKIES, name), f"the developer tools list the cookie {name}", seconds=60, pause=1)

    def screenshot(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(self._send("GET", "/screenshot")))

    def close(self):
        self._send("DELETE", "")
        self._profile.cleanup()

    def _act(self, selector, action, body):
        """Once more where a script of the page has replaced the element between finding it and acting."""
        try:
            self._send("POST", f"/element/{self._find(selector)}/{action}", body)
        except WebDriverError as error:
            if "stale element" not in str(error):
                raise
            self._send("POST", f"/element/{self._find(selector)}/{action}", body)

    def _find(self, value, using="css selector"):
        return self._send("POST", "/element", {"using": using, "value": value})[_ELEMENT]

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self._url + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return json.load(response)["value"]
        except urllib.error.HTTPError as error:
            raise WebDriverError(json.load(error)["value"]["message"]) from None


def wait_until(condition, what, seconds=20, pause=0.1):
    """Asks again and again until the condition holds, and returns its value. An element that goes while it is read does not matter."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(WebDriverError):
            if value := condition():
                return value
        time.sleep(pause)
    raise AssertionError(f"not within {seconds} s: {what}")
