"""Draws the Mermaid diagrams of a document, to see that they can be drawn."""

import contextlib
import functools
import http.server
import threading

from tests.browser import webdriver
from tests.docs import mermaid
from tests.docs.document import blocks_of

_LOAD = """
  return new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = 'mermaid.min.js';
    script.onload = () => resolve(true);
    script.onerror = () => reject(new Error('mermaid.min.js cannot be loaded'));
    document.head.append(script);
  });
"""
_DRAW = """
  const [source] = arguments;
  mermaid.initialize({startOnLoad: false});
  return mermaid.render('diagram', source).then(({svg}) => ({svg}), error => ({error: String(error)}));
"""


class Unavailable(Exception):
    """What draws the diagrams is not installed. The text says what is missing."""


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@contextlib.contextmanager
def _served(folder):
    """The address at which a browser finds the files of a folder."""
    handler = functools.partial(_QuietHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def problems(lines, name):
    """Which diagrams cannot be drawn, as a list of sentences. Throws Unavailable."""
    diagrams = [block for block in blocks_of(lines, name) if block.language == "mermaid"]
    if not diagrams:
        return []
    missing = webdriver.missing_programs()
    if not mermaid.SCRIPT.exists():
        missing.append("the npm package mermaid")
    if missing:
        raise Unavailable("; ".join(missing) + " missing, ./tutorial setup installs it")
    found = []
    with _served(mermaid.SCRIPT.parent) as url, contextlib.closing(webdriver.Driver()) as driver, \
            contextlib.closing(driver.browser()) as browser:
        browser.open(url)
        browser.run(_LOAD)
        for block in diagrams:
            drawn = browser.run(_DRAW, "\n".join(lines[block.first:block.last]))
            if "<svg" not in drawn.get("svg", ""):
                found.append(f"{name}:{block.first + 1}: {drawn.get('error', 'the diagram is empty')}")
    return found
