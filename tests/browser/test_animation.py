"""An animated WebP stays one: it plays, and nothing is told of it that the browser knows of its first frame only."""

import json
from io import BytesIO
from itertools import pairwise

import numpy as np
from PIL import Image

from tests.browser.conftest import OpenVisit
from tests.browser.test_search import COUNT_ESTIMATES
from tests.browser.visit import Visit, corpus, expect
from tests.images import Pixels, pixels

LOGO = corpus("anim-logo.webp")
BEFORE, AFTER = 0, 1


def seen(visit: Visit) -> tuple[Pixels, Pixels]:
    """Return what Before and After show in the same moment, in gray."""
    boxes = [figure.bounding_box() for figure in visit.page.locator("#stage figure").all()]
    shot = Image.open(BytesIO(visit.page.screenshot())).convert("L")
    before, after = (
        pixels(shot.crop((box["x"], box["y"] + 50, box["x"] + box["width"], box["y"] + box["height"])))
        for box in boxes
        if box
    )
    return before, after


def difference(one: Pixels, other: Pixels) -> float:
    return float(np.abs(one - other).mean())


def open_with(open_visit: OpenVisit, url: str, **settings: object) -> Visit:
    visit = open_visit(f"{url}#s={json.dumps(settings)}")
    visit.page.add_init_script(COUNT_ESTIMATES)
    visit.page.goto("about:blank")
    visit.open(f"{url}#s={json.dumps(settings)}")
    visit.drop(LOGO)
    visit.expect_done()
    return visit


def test_before_and_after_play_together(open_visit: OpenVisit, url: str) -> None:
    visit = open_with(open_visit, url, quality=60)
    visit.choose("Side by side")
    shots = [seen(visit)]

    def moves(side: int) -> float:
        return max((difference(one[side], other[side]) for one, other in pairwise(shots)), default=0)

    while len(shots) < 6 or not (moves(BEFORE) > 2 and moves(AFTER) > 2):
        assert len(shots) < 100, "it does not play"
        shots.append(seen(visit))

    moved = moves(BEFORE)
    assert np.median([difference(before, after) for before, after in shots]) < moved / 2


def test_no_size_is_estimated_while_it_stays_animated(open_visit: OpenVisit, url: str) -> None:
    visit = open_with(open_visit, url, quality=60)
    sizes = visit.result.locator(".save p").inner_text()

    for quality in (50, 20):
        visit.draft_slider("Quality", quality)
    expect(visit.result).to_have_attribute("data-pending", "")  # its numbers are those of before
    expect(visit.page.locator(".after .size")).to_have_text("")
    expect(visit.after).to_have_js_property("tagName", "IMG")  # the last result goes on playing
    visit.draft_slider("Brightness", 40)
    expect(visit.page.locator("canvas")).to_be_visible()
    assert visit.result.locator(".save p").inner_text() == sizes

    visit.set_slider("Brightness", 40)
    visit.expect_done()
    assert visit.page.evaluate("estimates") == 0
    expect(visit.after).to_have_js_property("tagName", "IMG")
    data = visit.download()[1]
    assert getattr(Image.open(BytesIO(data)), "n_frames", 1) > 1
    visit.choose("JPEG")
    expect(visit.page.get_by_text("Only the first frame of the animation was kept.")).to_be_visible()
    visit.expect_done()
    visit.draft_slider("Quality", 20)
    expect(visit.result).to_contain_text("estimate")


def test_a_quality_that_nobody_searches_for_stays_in_the_users_hand(open_visit: OpenVisit, url: str) -> None:
    visit = open_with(open_visit, url, quality=60, target_bytes=20_000)

    told = "Pinch does not search for the quality of an animation. It used the one you set."
    expect(visit.page.get_by_text(told)).to_be_visible()
    expect(visit.result.locator(".found p")).to_have_count(0)
    expect(visit.slider("Quality")).to_be_enabled()
    expect(visit.slider("Quality")).to_have_value("60")
    visit.choose("JPEG")
    expect(visit.page.get_by_role("slider", name="Quality by Target size")).to_be_disabled()
    expect(visit.result.locator(".found p")).to_contain_text(["Quality"])
    visit.expect_done()
