"""The page at `/` in a real Chromium: from the one-time password to a sound that plays under its pictures.

Pictures of what is shown are kept in the tests' temporary folders.
"""

import contextlib
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from playwright.async_api import Page, expect
from tests.support.browser import Browser, browsing
from tests.support.up import Platform, up

from timeside.sample import SAMPLERATE, synthesize

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]  # machines may be busy

expect.set_options(timeout=60_000)

PASSWORD = "a password of the test"
DONE_MS = 300_000
DARK = {"color_scheme": "dark"}
SMALL = {"viewport": {"width": 390, "height": 844}}
WATCH = """(lane) => {
    window.seen = [];
    setInterval(() => {
        const canvas = document.querySelector(`[data-lane="${lane}"] canvas`);
        if (!canvas?.width || !document.querySelector(".running progress")) return;
        const { width, height } = canvas;
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        const filled = new Set();
        for (let point = 0; point < width * height; point++) if (data[4 * point + 3]) filled.add(point % width);
        seen.push(filled.size / width);
    }, 60);
}"""
"""Notes again and again, while a task runs, which share of a lane's columns has something drawn."""


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Generator[Platform]:
    with up(tmp_path_factory.mktemp("page") / "home") as platform:
        yield platform


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some minutes, which take a while."""
    file = tmp_path_factory.mktemp("media") / "Long tune.flac"
    soundfile.write(file, np.tile(synthesize(), (12, 1)), SAMPLERATE)
    return file


async def fill(page: Page, button: str, **values: str) -> None:
    for label, value in values.items():
        await page.get_by_label(label.replace("_", " "), exact=False).first.fill(value)
    await page.get_by_role("button", name=button).click()


@asynccontextmanager
async def signed_in(platform: Platform, folder: Path, **options: Any) -> AsyncGenerator[Browser]:
    async with browsing(platform.url, folder, **options) as browser:
        await sign_in(platform, browser.page)
        yield browser


async def sign_in(platform: Platform, page: Page) -> None:
    """By the password of the test, which is set where it was not yet."""
    await fill(page, "Sign in", Name="admin", Password=PASSWORD)
    uploads = page.get_by_role("region", name="Upload")
    await expect(uploads.or_(page.get_by_role("alert"))).to_be_visible()
    if await uploads.is_visible():
        return
    await fill(page, "Sign in", Password=platform.first_password or "")
    await fill(page, "Set password", New_password=PASSWORD, The_same_again=PASSWORD)
    await expect(uploads).to_be_visible()


async def done(page: Page) -> None:
    await expect(page.locator(".running progress")).to_have_count(0, timeout=DONE_MS)
    said = page.locator(".lane .state:not(:empty)")
    with contextlib.suppress(AssertionError):
        await expect(said).to_have_count(0)
    assert await said.all_inner_texts() == [], await page.get_by_role("alert").all_inner_texts()
    await page.wait_for_timeout(500)  # for the drawing


async def seconds(page: Page) -> float:
    return float(await page.get_by_label("Position").input_value())


async def test_from_the_one_time_password_to_a_sound_under_its_pictures(
    platform: Platform, recording: Path, tmp_path: Path
):
    async with signed_in(platform, tmp_path) as browser:
        page = browser.page
        browser.errors.clear()  # of the sign-in that had to fail
        await browser.picture("empty")
        await browser.drop(".drop", recording)
        await expect(page.get_by_role("heading", name="Long tune")).to_be_visible()
        await page.evaluate(WATCH, "Waveform")
        await page.get_by_role("button", name="Run").click()
        await expect(page.locator('[data-lane="Spectrogram"]')).to_be_visible()
        await page.wait_for_function("() => window.seen.at(-1) > 0.2", timeout=DONE_MS)
        await browser.picture("running")
        await done(page)
        await browser.picture("done")
        seen = await page.evaluate("window.seen")
        assert seen == sorted(seen)
        assert len({round(each, 2) for each in seen if 0 < each < 0.98}) >= 3, seen
        await check_the_sound(page)
        await expect(page.locator(".numbers")).to_contain_text("dBFS")
        await check_the_downloads(page)
        assert browser.errors == []
        assert browser.hosts == {platform.url.removeprefix("http://")}


async def check_the_sound(page: Page) -> None:
    """It plays, and goes on where a picture is clicked at."""
    await page.get_by_role("button", name="Play").click()
    await page.wait_for_function("() => Number(document.querySelector('.player input').value) > 0.5")
    await page.get_by_role("button", name="Pause").click()
    duration = float(await page.get_by_label("Position").get_attribute("max") or 0)
    box = await page.locator('[data-lane="Spectrogram"] canvas').bounding_box()
    assert box is not None
    await page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 20)
    assert await seconds(page) == pytest.approx(duration / 2, abs=0.01 * duration)
    playhead = await page.locator(".playhead").bounding_box()
    assert playhead is not None
    assert playhead["x"] == pytest.approx(box["x"] + box["width"] / 2, abs=2)


async def check_the_downloads(page: Page) -> None:
    async with page.expect_download() as opus:
        await page.get_by_role("button", name="The sound in Opus").click()
    assert (await (await opus.value).path()).read_bytes()[:4] == b"OggS"
    async with page.expect_download() as table:
        await page.get_by_role("button", name="Onset detection function").click()
    lines = (await (await table.value).path()).read_text().splitlines()
    assert "time_s" in lines[0]
    assert len(lines) > 1000
    picture = page.locator("figure img")
    await picture.scroll_into_view_if_needed()
    await page.wait_for_function("(image) => image.naturalWidth > 0", arg=await picture.element_handle())


async def test_a_format_that_browsers_do_not_play_exactly_is_heard_as_a_copy(platform: Platform, tmp_path: Path):
    soundfile.write(tmp_path / "tune.mp3", synthesize(), SAMPLERATE)
    async with signed_in(platform, tmp_path, **DARK) as browser:
        page = browser.page
        await page.get_by_text("Choose files").set_input_files(tmp_path / "tune.mp3")
        await expect(page.get_by_text("Play makes a copy first")).to_be_visible()
        await page.get_by_text("Choose processors").click()
        for name in ("MFCC", "Aubio temporal", "Aubio silence"):
            await page.get_by_label(name, exact=True).check()
        await browser.picture("choice")
        await page.get_by_text("Choose processors").click()
        await page.get_by_role("button", name="Run").click()
        await page.wait_for_selector(".running")
        await done(page)
        await page.get_by_role("heading", name="tune").click()  # keys are for the button that has the focus
        for _ in range(3):
            await page.keyboard.press("+")
        await page.keyboard.press("Space")
        await page.wait_for_function("() => Number(document.querySelector('.player input').value) > 0.5")
        await browser.picture("dark")
        await page.reload()  # everything is there again
        await expect(page.locator('[data-lane="MFCC"]')).to_be_visible()
        await page.set_viewport_size(SMALL["viewport"])
        await page.wait_for_timeout(500)
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await browser.picture("small")


async def test_what_cannot_be_decoded_is_told_in_words(platform: Platform, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no sound")
    async with signed_in(platform, tmp_path) as browser:
        page = browser.page
        await browser.drop(".drop", tmp_path / "notes.txt")
        await expect(page.get_by_role("alert")).to_contain_text("cannot be decoded")
        await page.get_by_label("Search items").fill("notes")
        await expect(page.get_by_text("Nothing found.")).to_be_visible()
        await browser.picture("error")
        await page.goto(f"{platform.url}/#/items/00000000-0000-7000-8000-000000000000")
        await expect(page.get_by_role("alert")).to_contain_text("is not there, or not yours")


async def test_a_wrong_password_and_a_server_that_has_gone(tmp_path: Path):
    with up(tmp_path / "home") as platform:
        async with browsing(platform.url, tmp_path, **SMALL) as browser:
            page = browser.page
            await page.keyboard.type("admin")  # the first field has the focus
            await page.keyboard.press("Tab")
            await page.keyboard.type("wrong")
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert")).to_contain_text("Name or password is wrong")
            assert platform.stop() == 0
            await page.keyboard.press("Enter")
            await expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached")
            await browser.picture("gone")
