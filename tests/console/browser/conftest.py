"""The application served for real, a Chromium for all tests of this folder, and a window of it for each."""

import os
import shutil
from collections.abc import Callable, Iterator
from threading import Event, Thread
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright
from waitress import wasyncore
from waitress.server import create_server

from app.accounts import people
from tests.accounts.world import World
from tests.console.browser.windows import ADMIN, Window

#: What a loaded machine may take for what takes milliseconds.
PATIENCE_MS = 20_000

#: Chromium says this of every answer that refuses something.
_REFUSED = "Failed to load resource: the server responded with a status of 4"

#: Violations are told like errors, which the tests look for.
_TELL_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`violation of ${event.effectiveDirective} by ${event.blockedURI}`));
"""


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    """The browser, as the system's package has it."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("there is no Chromium here; apt-get install chromium")
    expect.set_options(timeout=PATIENCE_MS)
    # Its sandbox refuses root, which programs are run as in many containers.
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield browser
        browser.close()


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    """Where the application is served."""
    connections: dict[int, Any] = {}
    server = create_server(
        app, map=connections, host="127.0.0.1", port=0, threads=4, clear_untrusted_proxy_headers=True
    )
    stopping = Event()

    def run() -> None:
        while not stopping.is_set():
            wasyncore.loop(timeout=1, map=connections, count=1)

    thread = Thread(target=run)
    thread.start()
    yield f"http://127.0.0.1:{server.effective_port}"
    stopping.set()
    server.pull_trigger()
    thread.join()
    server.task_dispatcher.shutdown()
    wasyncore.close_all(connections)


@pytest.fixture
def new_window(chromium: Browser, address: str, world: World) -> Iterator[Callable[..., Window]]:
    """Opens windows that share nothing. At its end a test fails where one of them had an error or asked something."""
    opened: list[Window] = []

    def watch(page: Page, said: list[str]) -> None:
        def console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"} and not message.text.startswith(_REFUSED):
                said.append(message.text)

        def dialog(asked: Any) -> None:
            said.append(f"dialog: {asked.message}")
            asked.dismiss()

        page.on("console", console)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", dialog)

    def open_window(*, signed_in: bool = True, **options: Any) -> Window:
        context = chromium.new_context(base_url=address, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(_TELL_VIOLATIONS)
        if signed_in:
            (admin,) = people.users(world.platform, before=None, limit=1, find=ADMIN)
            token = world.session(admin.user)[1]
            context.add_cookies([{"name": "kiln_session", "value": token, "url": address}])
        window = Window(context.new_page(), [])
        watch(window.page, window.said)
        opened.append(window)
        return window

    yield open_window
    for window in opened:
        assert window.said == []
        window.page.context.close()


@pytest.fixture
def window(new_window: Callable[..., Window]) -> Window:
    """One that the first administrator has signed in with."""
    return new_window()


@pytest.fixture
def page(window: Window) -> Page:
    """What it shows."""
    return window.page
