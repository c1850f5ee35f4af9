"""The picture that the page makes by itself while a slider moves, against the one that the server makes."""

import json
import re
from io import BytesIO
from itertools import product
from math import inf, log10

import pytest
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Route

from optimizer.imaging.pipeline import optimize
from optimizer.settings import PROPERTIES, Settings
from tests.browser.states import STALL_RESULTS
from tests.browser.visit import CORPUS, PHOTO, Sent, Visit, corpus, expect

SIZE = (420, 280)  # a smaller one would be shown larger
INNER = (12, 12, 408, 268)  # the frame has round corners
PHOTOS = [PHOTO, "photo-flower-3mp.jpg", "orient-portrait-8.jpg"]
MOVES = [
    {"brightness": -70},
    {"brightness": -30},
    {"brightness": 30},
    {"brightness": 70},
    {"contrast": -70},
    {"contrast": -30},
    {"contrast": 30},
    {"contrast": 70},
    {"sharpen": -60},
    {"sharpen": -20},
    {"sharpen": 20},
    {"sharpen": 60},
    {"brightness": 30, "contrast": 30, "sharpen": 20},
]
LEAST_DECIBELS = 40


HIDE = "(what) => { for (const each of document.querySelectorAll(what)) each.style.visibility = 'hidden'; }"


# One photo with every move; of the others, which differ in what they show, each slider to either side and all together.
@pytest.mark.parametrize(("photo", "moves"), [(PHOTOS[0], MOVES), *((photo, MOVES[::3]) for photo in PHOTOS[1:])])
def test_the_preview_is_what_the_server_makes(visit: Visit, photo: str, moves: list[dict[str, int]]) -> None:
    source = crop(photo)
    visit.drop(Sent("photo.png", source))
    visit.expect_done()
    visit.page.keyboard.press("a")
    visit.page.evaluate(HIDE, "figcaption, #toast, .busy")
    visit.page.evaluate(STALL_RESULTS)

    found = {}
    for moved in moves:
        shown = preview_pixels(visit, moved)
        settings = Settings.parse(moved | {"format": "webp", "lossless": True})  # which is made sooner than a PNG
        made = Image.open(BytesIO(optimize(source, settings).data)).convert("RGB")
        found[str(moved)] = decibels(shown.crop(INNER), made.crop(INNER))

    assert {moved: level for moved, level in found.items() if level < LEAST_DECIBELS} == {}
    assert min(found.values()) < inf  # a preview that is the result itself would say nothing


def preview_pixels(visit: Visit, moved: dict[str, int]) -> Image.Image:
    """Return what After shows in the picture's own pixels while the server has not answered."""
    visit.page.keyboard.press("r")
    for name, value in moved.items():
        visit.set_slider(PROPERTIES[name]["title"], value)
    expect(visit.page.locator("canvas")).to_be_visible()
    box = visit.page.locator("canvas").bounding_box()
    assert box
    assert (box["width"], box["height"]) == SIZE
    screen = visit.page.screenshot(clip=box)
    return Image.open(BytesIO(screen)).convert("RGB")


def crop(photo: str) -> bytes:
    """Return the middle of the photo as a PNG."""
    with Image.open(CORPUS / photo) as image:
        left, top = (image.width - SIZE[0]) // 2, (image.height - SIZE[1]) // 2
        file = BytesIO()
        image.crop((left, top, left + SIZE[0], top + SIZE[1])).save(file, "PNG", icc_profile=None, exif=b"")
    return file.getvalue()


def decibels(one: Image.Image, other: Image.Image) -> float:
    """Return the peak signal-to-noise ratio of two pictures of one size."""
    squares = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    error = sum(squares) / (3 * one.width * one.height)
    return 10 * log10(255**2 / error) if error else inf


@pytest.mark.parametrize(
    ("width", "choices", "tolerance"),
    [
        (1600, [*product(("JPEG", "WebP"), (40, 75, 90))], 0.1),
        # In a JPEG's own pixels both encoders meet its old compression, each in another way.
        (0, [("JPEG", 75)], 0.2),
    ],
)
def test_the_estimate_is_about_what_the_server_makes(
    visit: Visit, width: int, choices: list[tuple[str, int]], tolerance: float
) -> None:
    source = corpus("photo-flower-3mp.jpg")
    settings = {"width": width} if width else {}
    visit.page.evaluate("(kept) => localStorage.setItem('pinch.settings', kept)", json.dumps(settings))
    visit.page.reload()
    visit.drop(source)
    visit.expect_done()
    visit.page.evaluate(STALL_RESULTS)

    for format, quality in choices:
        visit.choose(format)
        before = visit.result.locator("b").inner_text()
        visit.set_slider("Quality", quality)

        made = optimize(source.data, Settings.parse(settings | {"format": format.lower(), "quality": quality})).data
        expect(visit.result).to_contain_text("estimate")
        expect(visit.result.locator("b")).not_to_have_text(before)
        expect(visit.page.locator(".after .size")).to_contain_text("≈")
        assert size_in_kilobytes(visit) == pytest.approx(len(made) / 1000, rel=tolerance)


def test_what_a_result_turned_out_to_be_is_learned_from(visit: Visit) -> None:
    """The server is made to answer with half of the bytes that it would; the next estimate expects that of it."""
    visit.drop(corpus("photo-flower-3mp.jpg"))
    visit.expect_done()

    def halve(route: Route) -> None:
        answer = route.fetch()
        route.fulfill(response=answer, json=answer.json() | {"bytes": answer.json()["bytes"] // 2})

    visit.page.route("**/optimize", halve)
    visit.set_slider("Quality", 60)
    visit.expect_done()
    half = size_in_kilobytes(visit)
    visit.draft_slider("Quality", 61)

    expect(visit.result).to_contain_text("estimate")
    assert size_in_kilobytes(visit) == pytest.approx(half, rel=0.1)


def size_in_kilobytes(visit: Visit) -> float:
    return float(re.sub(r"[^0-9.]", "", visit.result.locator("b").inner_text()))


def test_the_picture_answers_a_moving_slider_before_the_next_frame(visit: Visit) -> None:
    visit.drop(corpus(PHOTO))
    visit.expect_done()
    visit.draft_slider("Brightness", 5)
    expect(visit.page.locator("canvas")).to_be_visible()  # decoded, if the page had no time for it before

    filters = visit.slider("Brightness").evaluate(
        """(slider) => [10, 30].map((value) => {
            slider.value = value;
            slider.dispatchEvent(new Event('input', { bubbles: true }));
            const canvas = document.querySelector('canvas');
            const filter = document.querySelector(canvas.style.filter.match(/#[^"]+/)[0]);
            return [canvas.hidden, filter.outerHTML];
        })"""
    )

    assert [hidden for hidden, _ in filters] == [False, False]
    assert filters[0] != filters[1]
    assert visit.optimizes() == 1
