"""How the page looks and is used: compare modes, keyboard, themes, small screens."""

import pytest

from tests.browser.conftest import OpenVisit
from tests.browser.visit import PHOTO, Sent, Visit, corpus, expect, picture

GIF = Sent("clip.gif", b"GIF89a")


def test_the_pictures_lie_over_each_other_and_the_handle_that_follows_the_pointer_divides_them(visit: Visit) -> None:
    visit.drop(corpus(PHOTO))
    visit.expect_done()
    box = visit.before.bounding_box()
    frame = visit.page.get_by_role("figure", name="Before").bounding_box()
    assert box
    assert box == visit.after.bounding_box()
    assert box["width"] / box["height"] == pytest.approx(2048 / 1366, rel=0.01)  # upright, whole, not cropped
    assert frame
    y = frame["y"] + 40

    visit.page.mouse.move(frame["x"] + frame["width"] / 2, y)
    visit.page.mouse.down()
    visit.page.mouse.move(frame["x"] + frame["width"] * 0.4, y)
    visit.page.mouse.move(frame["x"] + frame["width"] * 0.25, y)
    visit.page.mouse.up()

    handle = visit.slider("Compare before and after")
    expect(handle).to_have_attribute("aria-valuetext", "25% before, 75% after")
    after = visit.page.get_by_role("figure", name="After")
    expect(after).to_have_css("clip-path", "inset(0px 0px 0px 25%)")


@pytest.mark.parametrize(("system", "other", "back"), [("light", "dark", "light"), ("dark", "light", "dark")])
def test_the_theme_follows_the_system_until_it_is_switched(
    open_visit: OpenVisit, system: str, other: str, back: str
) -> None:
    visit = open_visit(color_scheme=system)
    colors = {"light": "rgb(246, 246, 243)", "dark": "rgb(18, 21, 20)"}
    body = visit.page.locator("body")
    expect(body).to_have_css("background-color", colors[system])

    visit.button(f"Switch to {other} theme").click()
    expect(body).to_have_css("background-color", colors[other])
    visit.page.reload()
    expect(body).to_have_css("background-color", colors[other])
    visit.button(f"Switch to {back} theme").click()

    expect(body).to_have_css("background-color", colors[system])


def overflow(visit: Visit) -> int:
    pixels: int = visit.page.evaluate("() => document.documentElement.scrollWidth - innerWidth")
    return pixels


def expect_nothing_sideways(visit: Visit) -> None:
    for width in (1440, 768, 390, 320):
        visit.page.set_viewport_size({"width": width, "height": 800})
        assert overflow(visit) == 0, width


def test_nothing_scrolls_sideways(visit: Visit) -> None:
    expect_nothing_sideways(visit)

    visit.drop(corpus(PHOTO), GIF)
    visit.expect_done()
    expect_nothing_sideways(visit)
    visit.tiles.nth(1).click()

    expect(visit.trouble).to_be_visible()
    expect_nothing_sideways(visit)


def test_text_of_twice_the_size_still_fits(visit: Visit) -> None:
    visit.page.add_init_script(
        "addEventListener('DOMContentLoaded', () => { document.documentElement.style.fontSize = '200%'; })"
    )
    visit.page.reload()

    visit.drop(picture())
    visit.expect_done()

    for width in (1440, 390):
        visit.page.set_viewport_size({"width": width, "height": 900})
        assert overflow(visit) == 0
        expect(visit.link).to_be_in_viewport()


def test_on_a_phone_image_and_download_stay_in_view_while_settings_scroll(open_visit: OpenVisit) -> None:
    visit = open_visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    expect(visit.page.get_by_role("heading", name="Choose images to make them lighter")).to_be_visible()
    expect(visit.page.get_by_text("or paste with")).to_be_hidden()
    visit.drop(picture())
    visit.expect_done()

    visit.page.get_by_role("checkbox", name="Strip metadata").scroll_into_view_if_needed()

    expect(visit.after).to_be_in_viewport()
    expect(visit.link).to_be_in_viewport()
    expect(visit.page.get_by_role("radio", name="Side by side")).to_be_hidden()


def test_everything_can_be_reached_by_keyboard(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    reached: list[str] = []

    for _ in range(60):
        visit.page.keyboard.press("Tab")
        reached.append(visit.page.evaluate("() => document.activeElement.id || document.activeElement.className"))

    assert {"theme", "add", "thumb", "x", "s-quality", "live", "download", "delete"} <= set(reached)
