"""Before and After: how they are compared, zoomed and moved, by mouse, touch and trackpad."""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import CDPSession, FloatRect, Locator

from tests.browser.conftest import OpenVisit
from tests.browser.visit import Sent, Visit, corpus, expect, picture

MODES = ["split", "side", "after"]
LANDSCAPE = (1600, 1200)
PORTRAIT = (900, 1600)
FILLING = (1680, 1000)  # as wide as the room for it in a window of 1440 x 900
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
TABLET = {"has_touch": True}
FRACTION = 0.003  # of a picture, that is a pixel or two on the screen


@cache
def gradient(width: int, height: int, name: str = "gradient.jpg") -> Sent:
    """Make a picture that is large and still takes the server no time."""
    file = BytesIO()
    Image.linear_gradient("L").resize((width, height)).save(file, "JPEG", quality=95)
    return Sent(name, file.getvalue())


def show(visit: Visit, file: Sent | None = None, mode: str = "split") -> None:
    """Bring the image to where it can be compared."""
    visit.drop(file or gradient(*LANDSCAPE))
    visit.expect_done()
    expect(visit.before).to_be_visible()
    choose_mode(visit, mode)


def choose_mode(visit: Visit, mode: str) -> None:
    visit.page.locator(f"#stage label:has([value={mode}])").click()
    expect(visit.page.locator("#stage")).to_have_attribute("data-mode", mode)


def figure(visit: Visit, name: str) -> Locator:
    return visit.page.get_by_role("figure", name=name)


def box_of(locator: Locator) -> FloatRect:
    box = locator.bounding_box()
    assert box
    return box


def zoom_label(visit: Visit) -> Locator:
    return visit.page.locator("#stage .zoom")


def percent(visit: Visit) -> int:
    """Tell how far it is zoomed, also where the label says Fit."""
    found = re.search(r"\d+", zoom_label(visit).get_attribute("title") or "")
    assert found
    return int(found.group())


def zoom_in(visit: Visit, times: int = 1) -> None:
    for _ in range(times):
        visit.button("Zoom in").click()


def point_on(box: FloatRect, part: tuple[float, float]) -> tuple[float, float]:
    return box["x"] + box["width"] * part[0], box["y"] + box["height"] * part[1]


def part_under(point: tuple[float, float], pane: Locator) -> tuple[float, float]:
    """Return what of the picture is at this point of the window, as parts of its sides."""
    box = box_of(pane)
    return (point[0] - box["x"]) / box["width"], (point[1] - box["y"]) / box["height"]


def place_in(visit: Visit, name: str) -> tuple[float, ...]:
    """Return where in its frame the picture lies."""
    frame, pic = box_of(figure(visit, name)), box_of(figure(visit, name).get_by_role("img"))
    return pic["x"] - frame["x"], pic["y"] - frame["y"], pic["width"], pic["height"]


def expect_no_gap(visit: Visit) -> None:
    x, y, width, height = place_in(visit, "After")
    frame = box_of(figure(visit, "After"))
    assert x <= 0.1
    assert y <= 0.1
    assert x + width >= frame["width"] - 0.1
    assert y + height >= frame["height"] - 0.1


def expect_same_part(visit: Visit) -> None:
    assert place_in(visit, "Before") == pytest.approx(place_in(visit, "After"), abs=0.05)


def drag(visit: Visit, by: tuple[float, float]) -> None:
    """Drag what is in the middle of the frame's lower part, where no handle is."""
    x, y = point_on(box_of(figure(visit, "After")), (0.75, 0.6))
    visit.page.mouse.move(x, y)
    visit.page.mouse.down()
    visit.page.mouse.move(x + by[0], y + by[1], steps=2)
    visit.page.mouse.up()


class Fingers:
    """Touches the screen as fingers do, so that the browser itself makes scrolling of it or not."""

    def __init__(self, visit: Visit) -> None:
        self._client: CDPSession = visit.page.context.new_cdp_session(visit.page)

    def _send(self, kind: str, *points: tuple[float, float]) -> None:
        touches = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        self._client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touches})

    @contextmanager
    def down(self, point: tuple[float, float]) -> Iterator[None]:
        self._send("touchStart", point)
        yield
        self._send("touchEnd")

    def swipe(self, start: tuple[float, float], by: tuple[float, float], steps: int = 8) -> None:
        with self.down(start):
            for step in range(1, steps + 1):
                self._send("touchMove", (start[0] + by[0] * step / steps, start[1] + by[1] * step / steps))

    def pinch(self, middle: tuple[float, float], start: float, end: float, *, tilt: float = 0, steps: int = 10) -> None:
        """Move two fingers about the middle from one distance to another; `tilt` degrees from the level."""
        across, down = math.cos(math.radians(tilt)) / 2, math.sin(math.radians(tilt)) / 2

        def points(distance: float) -> list[tuple[float, float]]:
            return [(middle[0] + sign * across * distance, middle[1] + sign * down * distance) for sign in (-1, 1)]

        self._send("touchStart", points(start)[0])
        self._send("touchStart", *points(start))
        for step in range(1, steps + 1):
            self._send("touchMove", *points(start + (end - start) * step / steps))
        self._send("touchEnd")


def test_an_image_opens_fitted_and_whole_in_every_mode_with_both_figures_labelled(visit: Visit) -> None:
    visit.drop(gradient(*LANDSCAPE), gradient(*PORTRAIT))
    expect(visit.badges).to_have_count(2)

    for number, size in enumerate((LANDSCAPE, PORTRAIT)):
        visit.tiles.nth(number).click()
        visit.expect_done()
        for mode in MODES:
            choose_mode(visit, mode)
            expect(zoom_label(visit)).to_have_text("Fit")
            view, pic = box_of(visit.page.locator(".view")), box_of(visit.after)
            assert pic["width"] / pic["height"] == pytest.approx(size[0] / size[1], rel=0.01)
            assert pic == box_of(figure(visit, "After"))  # nothing is cut off
            assert view["x"] - 0.5 <= pic["x"]
            assert pic["x"] + pic["width"] <= view["x"] + view["width"] + 0.5
            assert view["y"] - 0.5 <= pic["y"]
            assert pic["y"] + pic["height"] <= view["y"] + view["height"] + 0.5
            expect_labels(visit, ["After"] if mode == "after" else ["Before", "After"])
            if mode == "side":
                before = box_of(visit.before)
                assert before["x"] + before["width"] < pic["x"]
        zoom_in(visit, 2)  # which is of no concern to the next image
        expect(zoom_label(visit)).not_to_have_text("Fit")


def expect_labels(visit: Visit, seen: list[str]) -> None:
    figures = visit.page.locator("figure")
    assert figures.evaluate_all("(all) => all.map((each) => each.ariaLabel)") == ["Before", "After"]
    for name in seen:
        expect(figure(visit, name).locator("figcaption")).to_be_visible()
        expect(figure(visit, name).locator("figcaption")).to_have_text(re.compile(rf"^{name} [\d.]+ (K?B)$"))
    expect(visit.page.locator("figure:visible")).to_have_count(len(seen))


def test_the_wheel_zooms_at_the_pointer(visit: Visit) -> None:
    visit.drop(gradient(*LANDSCAPE), gradient(*PORTRAIT))
    expect(visit.badges).to_have_count(2)

    for number, mode, over in (
        (0, "split", "Before"),
        (0, "after", "After"),
        (1, "side", "Before"),  # its frames grow
        (1, "side", "After"),
    ):
        visit.tiles.nth(number).click()
        visit.expect_done()
        choose_mode(visit, mode)
        expect_wheel_at_the_pointer(visit, mode, over)


def expect_wheel_at_the_pointer(visit: Visit, mode: str, over: str) -> None:
    pane = figure(visit, over).get_by_role("img")
    expect(pane).to_be_visible()
    point = point_on(box_of(pane), (0.35, 0.4))
    visit.page.mouse.move(*point)
    fitted = percent(visit)

    for step in (-700, -100):
        visit.page.mouse.wheel(0, step)

        assert part_under(point, pane) == pytest.approx((0.35, 0.4), abs=FRACTION)
        expect_no_gap(visit)
        if mode != "after":
            expect_same_part(visit)
    assert percent(visit) == pytest.approx(fitted * math.exp(1.6), rel=0.02)
    expect(zoom_label(visit)).to_have_text(f"{percent(visit)}%")
    visit.page.mouse.wheel(0, 3000)

    expect(zoom_label(visit)).to_have_text("Fit")


def test_a_trackpad_zooms_by_small_steps_and_by_a_pinch_the_picture_and_not_the_page(visit: Visit) -> None:
    show(visit, gradient(*FILLING))
    point = point_on(box_of(visit.before), (0.3, 0.4))
    visit.page.mouse.move(*point)
    fitted = percent(visit)

    for _ in range(40):
        visit.page.mouse.wheel(0, -5)
    assert percent(visit) == pytest.approx(fitted * math.exp(0.4), rel=0.03)  # as far as by a large one
    assert part_under(point, visit.before) == pytest.approx((0.3, 0.4), abs=FRACTION)
    visit.page.mouse.wheel(0, 3000)
    expect(zoom_label(visit)).to_have_text("Fit")
    visit.page.keyboard.down("Control")
    for _ in range(20):
        visit.page.mouse.wheel(0, -3)
    visit.page.keyboard.up("Control")

    assert percent(visit) == pytest.approx(fitted * math.exp(0.6), rel=0.03)
    assert part_under(point, visit.before) == pytest.approx((0.3, 0.4), abs=FRACTION)
    assert visit.page.evaluate("() => [visualViewport.scale, devicePixelRatio]") == [1, 1]


def test_the_wheel_beside_the_picture_zooms_at_its_edge(visit: Visit) -> None:
    show(visit, gradient(*PORTRAIT))
    view, pic = box_of(visit.page.locator(".view")), box_of(visit.after)
    middle = pic["y"] + pic["height"] / 2

    for mode in MODES:
        choose_mode(visit, mode)
        visit.page.mouse.move(view["x"] + 5, middle)
        visit.page.mouse.wheel(0, -1000)

        assert place_in(visit, "After")[0] == pytest.approx(0, abs=0.1)  # its left edge is at that of the frame
        assert part_under((0, middle), visit.after)[1] == pytest.approx(0.5, abs=FRACTION)
        visit.page.mouse.wheel(0, 5000)
        expect(zoom_label(visit)).to_have_text("Fit")


def test_the_buttons_zoom_at_the_middle_back_to_fit_and_in_as_far_as_the_pixels(visit: Visit) -> None:
    show(visit)
    middle = point_on(box_of(visit.before), (0.5, 0.5))
    fitted = percent(visit)

    visit.button("Zoom in").click()
    assert percent(visit) == pytest.approx(fitted * 1.5, abs=1)
    expect(zoom_label(visit)).to_have_text(f"{percent(visit)}%")
    assert part_under(middle, visit.before) == pytest.approx((0.5, 0.5), abs=FRACTION)
    visit.button("Zoom out").click()
    expect(zoom_label(visit)).to_have_text("Fit")
    zoom_label(visit).click()
    expect(zoom_label(visit)).to_have_text("100%")
    zoom_label(visit).click()

    expect(zoom_label(visit)).to_have_text("Fit")
    assert percent(visit) == fitted
    zoom_in(visit, 9)
    expect(zoom_label(visit)).to_have_text("800%")
    expect(visit.after).to_have_css("image-rendering", "pixelated")
    expect_same_part(visit)


def test_a_double_click_goes_from_fitted_to_all_pixels_there_and_back(visit: Visit) -> None:
    show(visit)
    fitted = box_of(visit.before)
    point = point_on(fitted, (0.25, 0.3))

    visit.page.mouse.dblclick(*point)
    expect(zoom_label(visit)).to_have_text("100%")
    assert box_of(visit.before)["width"] == LANDSCAPE[0]
    assert part_under(point, visit.before) == pytest.approx((0.25, 0.3), abs=FRACTION)
    visit.page.mouse.dblclick(*point)

    expect(zoom_label(visit)).to_have_text("Fit")
    assert box_of(visit.before) == fitted


def test_neither_a_double_click_on_the_handle_nor_a_drag_moves_a_fitted_picture(visit: Visit) -> None:
    show(visit)
    fitted = box_of(visit.before)

    visit.page.locator(".handle").dblclick()
    drag(visit, (90, -60))

    expect(zoom_label(visit)).to_have_text("Fit")
    assert box_of(visit.before) == box_of(visit.after) == fitted


@pytest.mark.parametrize("ratio", [1, 2])
def test_all_pixels_are_those_of_the_device_also_where_they_are_smaller_than_fitted(
    open_visit: OpenVisit, ratio: int
) -> None:
    visit = open_visit(device_scale_factor=ratio)
    show(visit)
    zoom_label(visit).click()
    expect(zoom_label(visit)).to_have_text("100%")
    assert box_of(visit.after)["width"] * ratio == LANDSCAPE[0]

    show(visit, picture())
    expect(zoom_label(visit)).to_have_text("Fit")
    assert box_of(visit.after)["width"] == 384
    zoom_label(visit).click()
    expect(zoom_label(visit)).to_have_text("100%")
    assert box_of(visit.after)["width"] == 96 / ratio
    visit.button("Zoom out").click()
    expect(zoom_label(visit)).to_have_text("100%")
    zoom_in(visit)

    expect(zoom_label(visit)).to_have_text("150%")


def test_two_fingers_zoom_what_is_between_them(open_visit: OpenVisit) -> None:
    visit = open_visit(**TABLET)
    show(visit, gradient(*FILLING), "after")
    fitted = percent(visit)
    middle = point_on(box_of(visit.after), (0.4, 0.5))
    fingers = Fingers(visit)

    for start, end in ((80, 280), (80, 110)):  # far, and slowly
        fingers.pinch(middle, start, end, steps=20)

        assert percent(visit) == pytest.approx(fitted * end / start, rel=0.06)
        assert part_under(middle, visit.after) == pytest.approx((0.4, 0.5), abs=0.02)
        fingers.pinch(middle, end, start / 2)
        expect(zoom_label(visit)).to_have_text("Fit")


def test_two_fingers_zoom_on_a_phone_and_the_page_stays(open_visit: OpenVisit) -> None:
    visit = open_visit(**PHONE)
    show(visit)
    fitted = percent(visit)
    middle = point_on(box_of(visit.after), (0.3, 0.4))

    for tilt in (0, 90):
        Fingers(visit).pinch(middle, 60, 150, tilt=tilt, steps=20)

        assert percent(visit) == pytest.approx(fitted * 2.5, rel=0.06)
        expect_same_part(visit)
        assert visit.page.evaluate("() => [visualViewport.scale, scrollY]") == [1, 0]
        visit.page.keyboard.press("0")
        expect(zoom_label(visit)).to_have_text("Fit")


def test_a_zoomed_picture_is_dragged_and_never_leaves_a_gap(visit: Visit) -> None:
    show(visit)

    for mode in MODES:
        choose_mode(visit, mode)
        visit.page.keyboard.press("0")
        zoom_in(visit, 3)
        x, y, *_ = place_in(visit, "After")
        drag(visit, (-60, 40))
        moved_x, moved_y, *_ = place_in(visit, "After")
        assert (moved_x - x, moved_y - y) == pytest.approx((-60, 40), abs=1)  # on the grid of the screen
        # On all sides in the first mode; into two corners in the others, whose bounds are computed by the same code.
        sides = ((-1500, 0), (0, -1200), (1800, 0), (0, 1400)) if mode == MODES[0] else ((-1500, -1200),)
        for by in (*sides, (1800, 1500)):
            drag(visit, by)

            expect_no_gap(visit)
            if mode != "after":
                expect_same_part(visit)
        assert place_in(visit, "After")[:2] == pytest.approx((0, 0), abs=0.1)  # it has been to its corner


def test_one_finger_moves_the_picture_while_it_is_zoomed_and_scrolls_the_page_while_it_is_not(
    open_visit: OpenVisit,
) -> None:
    visit = open_visit(**PHONE)
    show(visit)
    fingers = Fingers(visit)
    zoom_in(visit, 3)
    x, y, *_ = place_in(visit, "After")

    fingers.swipe(point_on(box_of(figure(visit, "After")), (0.25, 0.7)), (30, -60))
    moved_x, moved_y, *_ = place_in(visit, "After")
    assert (moved_x - x, moved_y - y) == pytest.approx((30, -60), abs=1)
    assert visit.page.evaluate("() => scrollY") == 0
    visit.page.keyboard.press("0")
    expect(zoom_label(visit)).to_have_text("Fit")
    place = place_in(visit, "After")
    fingers.swipe(point_on(box_of(visit.after), (0.25, 0.7)), (0, -120))

    visit.page.wait_for_function("() => scrollY > 60")
    assert place_in(visit, "After") == pytest.approx(place, abs=0.1)


def test_a_press_that_is_held_shows_before_until_it_is_let_go(visit: Visit) -> None:
    show(visit)

    for mode in ("split", "after"):
        choose_mode(visit, mode)
        visit.page.mouse.move(*point_on(box_of(visit.after), (0.8, 0.4)))
        visit.page.mouse.down()
        expect(visit.after).to_be_hidden()
        expect(visit.before).to_be_visible()
        expect(visit.page.locator(".handle")).to_be_hidden()
        visit.page.mouse.up()

        expect(visit.after).to_be_visible()
        expect(visit.page.locator("#stage")).to_have_attribute("data-mode", mode)


def test_a_finger_that_is_held_shows_before_and_one_that_moves_drags_the_handle_to_both_ends(
    open_visit: OpenVisit,
) -> None:
    visit = open_visit(**PHONE)
    show(visit)
    frame = box_of(figure(visit, "Before"))
    x, y = point_on(frame, (0.5, 0.8))
    handle = visit.slider("Compare before and after")
    fingers = Fingers(visit)

    with fingers.down(point_on(box_of(visit.after), (0.8, 0.6))):
        expect(visit.after).to_be_hidden()
    expect(visit.after).to_be_visible()
    fingers.swipe((x, y), (frame["width"] * 0.3, 4))
    expect(handle).to_have_attribute("aria-valuetext", "80% before, 20% after")
    fingers.swipe((x + frame["width"] * 0.3, y), (-2 * frame["width"], 0))

    expect(handle).to_have_attribute("aria-valuetext", "0% before, 100% after")
    assert visit.page.evaluate("() => scrollY") == 0
    expect(zoom_label(visit)).to_have_text("Fit")


def test_a_zoomed_picture_stays_as_large_while_its_pixels_get_fewer(visit: Visit) -> None:
    show(visit)
    zoom_label(visit).click()
    drag(visit, (-150, -90))
    seen = place_in(visit, "After")

    with visit.answer() as answer:
        visit.set_slider("Resize", 50)
    visit.expect_done()

    assert (answer["width"], answer["height"]) == (800, 600)
    expect(zoom_label(visit)).to_have_text("200%")
    assert place_in(visit, "After") == pytest.approx(seen, abs=0.1)
    expect_same_part(visit)


def mode_radio(visit: Visit) -> Locator:
    return visit.page.locator("#stage [name=mode]:checked")


def test_side_by_side_is_split_where_there_is_no_room_and_comes_back_with_it(visit: Visit) -> None:
    show(visit, picture(), "side")
    page = visit.page

    page.set_viewport_size({"width": 390, "height": 844})
    expect(mode_radio(visit)).to_have_value("split")
    expect(page.locator("#stage")).to_have_attribute("data-mode", "split")
    page.reload()
    visit.drop(picture())
    visit.expect_done()
    expect(mode_radio(visit)).to_have_value("split")
    page.keyboard.press("b")
    expect(mode_radio(visit)).to_have_value("split")
    page.set_viewport_size({"width": 1440, "height": 900})

    expect(mode_radio(visit)).to_have_value("side")


def test_a_fitted_picture_follows_the_size_of_the_window(visit: Visit) -> None:
    show(visit)
    large = box_of(visit.after)

    visit.page.set_viewport_size({"width": 1100, "height": 700})

    visit.page.wait_for_function(
        "(width) => document.querySelector('.after').clientWidth < width - 50", arg=large["width"]
    )
    assert box_of(visit.before) == box_of(visit.after) == box_of(figure(visit, "After"))
    view, pic = box_of(visit.page.locator(".view")), box_of(visit.after)
    assert max(pic["width"] / view["width"], pic["height"] / view["height"]) == pytest.approx(1, abs=0.01)
    expect(zoom_label(visit)).to_have_text("Fit")


def test_a_zoomed_picture_leaves_no_gap_when_the_window_grows(visit: Visit) -> None:
    visit.page.set_viewport_size({"width": 1000, "height": 650})
    show(visit)
    zoom_label(visit).click()
    drag(visit, (-3000, -3000))

    visit.page.set_viewport_size({"width": 1600, "height": 1000})

    visit.page.wait_for_function("() => document.querySelector('.after').clientWidth > 1100")
    expect_no_gap(visit)
    expect_same_part(visit)
    expect(zoom_label(visit)).to_have_text("100%")


def test_a_picture_of_an_extreme_shape_can_still_be_compared(visit: Visit) -> None:
    for name in ("edge-12000x16.jpg", "edge-1x1.png"):
        show(visit, corpus(name))
        expect_comparable(visit)


def expect_comparable(visit: Visit) -> None:
    for width in (1440, 390):
        visit.page.set_viewport_size({"width": width, "height": 800})
        for label in ("Fit", "100%"):
            expect(zoom_label(visit)).to_have_text(label)
            frame = box_of(figure(visit, "After"))
            assert frame["width"] >= 128  # room for the handle and the labels
            assert frame["height"] >= 128
            assert box_of(visit.page.locator(".view"))["width"] >= frame["width"]
            assert box_of(visit.before) == box_of(visit.after)
            expect(visit.page.locator(".knob")).to_be_in_viewport()
            zoom_label(visit).click()
