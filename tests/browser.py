"""A headless Chromium, driven over its debugging pipe: real clicks and drags, without any package.

Messages of the DevTools protocol are JSON with a zero byte behind each; the browser reads them from its file
descriptor 3 and answers on 4.
"""

import json
import os
import pathlib
import select
import shutil
import subprocess
import time

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--remote-debugging-pipe"),
    *("--window-size=1000,800", "--disable-dev-shm-usage", "--mute-audio"),
)


class Browser:
    """One page of a browser."""

    def __init__(self, folder: pathlib.Path):
        """Starts it with `folder` for what it keeps; skips the test where there is none."""
        program = os.environ.get("ANIME_PT_BROWSER") or next(filter(None, map(shutil.which, _NAMES)), None)
        if program is None:
            pytest.skip(
                f"no browser: none of {', '.join(_NAMES)} is installed; or name one in ANIME_PT_BROWSER"
            )
        (theirs_in, self._out), (self._in, theirs_out) = os.pipe(), os.pipe()

        def wired() -> None:
            a, b = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(a, 3)
            os.dup2(b, 4)

        self._process = subprocess.Popen(
            [program, *_FLAGS, f"--user-data-dir={folder}", "about:blank"],
            preexec_fn=wired,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._buffer, self._number, self._session = b"", 0, None
        pages = self._ask("Target.getTargets")["targetInfos"]
        target = next(p["targetId"] for p in pages if p["type"] == "page")
        self._session = self._ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, url: str, ready: str) -> None:
        """Opens a page, and waits until a JavaScript expression is true on it."""
        self._ask("Page.navigate", url=url)
        self.wait(ready)

    def wait(self, ready: str, seconds: float = 60) -> None:
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + seconds
        while not self.evaluate(ready):
            assert time.monotonic() < end, f"never true: {ready}"
            time.sleep(0.05)

    def evaluate(self, expression: str):
        """The value of a JavaScript expression, None where it fails."""
        answer = self._ask("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float) -> None:
        """A press, move or release ("mousePressed", "mouseMoved", "mouseReleased") of the left button."""
        pressed = (
            {"button": "left", "clickCount": 1} if kind != "mouseMoved" else {"button": "left", "buttons": 1}
        )
        self._ask("Input.dispatchMouseEvent", type=kind, x=x, y=y, **pressed)

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Presses at one place, moves, and releases at another."""
        self.mouse("mousePressed", *start)
        for share in (0.3, 0.7, 1.0):
            self.mouse("mouseMoved", *(a + share * (b - a) for a, b in zip(start, end, strict=True)))
        self.mouse("mouseReleased", *end)

    def click(self, selector: str) -> None:
        """A click in the middle of an element."""
        x, y = self.middle(selector)
        self.drag((x, y), (x, y))

    def middle(self, selector: str) -> tuple[float, float]:
        """Where an element is in the window, which is scrolled to it."""
        self.evaluate(f"document.querySelector({json.dumps(selector)}).scrollIntoViewIfNeeded()")
        at = f"(r => [r.x + r.width / 2, r.y + r.height / 2])(document.querySelector({json.dumps(selector)})"
        return tuple(self.evaluate(at + ".getBoundingClientRect())"))

    def key(self, name: str) -> None:
        """A press of a key."""
        for kind in ("keyDown", "keyUp"):
            self._ask("Input.dispatchKeyEvent", type=kind, key=name, code=name)

    def screenshot(self, path: pathlib.Path) -> None:
        """What the window shows, as PNG."""
        import base64

        path.write_bytes(base64.b64decode(self._ask("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def _ask(self, method: str, **parameters):
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            while b"\0" not in self._buffer:
                ready, _, _ = select.select([self._in], [], [], 120)
                assert ready, f"the browser does not answer {method}"
                data = os.read(self._in, 1 << 20)
                assert data, "the browser has ended"
                self._buffer += data
            text, _, self._buffer = self._buffer.partition(b"\0")
            answer = json.loads(text)
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
