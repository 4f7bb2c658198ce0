"""A real Chromium that shows the page, and says what went wrong in it."""

import shutil
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Page, async_playwright

_FLAGS = (
    "--no-sandbox",  # as root there is none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--mute-audio",
    "--autoplay-policy=no-user-gesture-required",
)
_LISTEN = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.violatedDirective))"

_DRAGGED = """(files) => {
    const dragged = new DataTransfer();
    for (const { name, content } of files)
        dragged.items.add(new File([Uint8Array.from(atob(content), (each) => each.charCodeAt())], name));
    return dragged;
}"""


@dataclass
class Browser:
    """A window, and what was heard of it."""

    page: Page
    folder: Path
    errors: list[str] = field(default_factory=list[str])
    """Of its console, of its scripts, of its policy; answers that are errors count, too."""
    hosts: set[str] = field(default_factory=set[str])
    """That it has asked for something."""

    async def picture(self, name: str) -> None:
        """Keep what is shown, all of it, for those who want to look."""
        await self.page.screenshot(path=self.folder / f"{name}.png", full_page=True)

    async def drop(self, target: str, *files: Path) -> None:
        """Drop files on an element, as from a desktop."""
        described = [{"name": each.name, "content": b64encode(each.read_bytes()).decode()} for each in files]
        await self.page.locator(target).dispatch_event(
            "drop", {"dataTransfer": await self.page.evaluate_handle(_DRAGGED, described)}
        )


def chromium() -> str:
    """Its program; a test that needs one fails where there is none."""
    for name in ("/usr/lib/chromium/chromium", "chromium", "google-chrome"):
        if (found := shutil.which(name)) is not None:
            return found
    pytest.fail("Chromium is missing: scripts/test installs it (apt-get install chromium)")


@asynccontextmanager
async def browsing(url: str, folder: Path, **options: Any) -> AsyncGenerator[Browser]:
    """A window on an address; `options` are those of a context: `color_scheme`, `viewport`."""
    async with async_playwright() as driver:
        program = await driver.chromium.launch(executable_path=chromium(), args=[*_FLAGS])
        context = await program.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(60_000)
        page = await context.new_page()
        browser = Browser(page, folder)
        page.on("console", lambda said: browser.errors.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: browser.errors.append(str(error)))
        page.on("request", lambda request: browser.hosts.add(urlsplit(request.url).netloc))
        await page.add_init_script(_LISTEN)
        await page.goto(url)
        try:
            yield browser
        finally:
            await program.close()
