"""What the server is asked to find: the quality that looks alike, the one that fits a size, the smallest format."""

import json
import re
import zipfile
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Locator, Request

from optimizer.settings import SIMILARITIES
from tests.browser.conftest import OpenVisit
from tests.browser.visit import CORPUS, Sent, Visit, expect
from tests.images import encoded

# A real photo, since no encoder finds anything in noise; small, so that a search takes no second.
FLOWER = Image.open(CORPUS / "photo-flower-3mp.jpg").resize((384, 256), Image.Resampling.LANCZOS)
PHOTO = Sent("photo.jpg", encoded(FLOWER, "jpeg", quality=97))


def asked_by(visit: Visit) -> list[dict[str, Any]]:
    """Return the list to which every request from now on adds its settings."""
    asked: list[dict[str, Any]] = []

    def note(request: Request) -> None:
        if request.url.endswith("/optimize"):
            asked.append(dict(request.post_data_json or {}))

    visit.page.on("request", note)
    return asked


def found(visit: Visit) -> Locator:
    return visit.result.locator(".found p")


def auto_quality(visit: Visit) -> Locator:
    return visit.page.get_by_role("combobox", name="Auto quality")


def target_size(visit: Visit) -> Locator:
    return visit.page.get_by_role("spinbutton", name="Target size")


def fill(field: Locator, text: str) -> None:
    field.fill(text)
    field.press("Enter")


def test_a_quality_that_the_server_finds_is_shown_and_the_users_own_comes_back(visit: Visit) -> None:
    asked = asked_by(visit)
    quality, number = visit.slider("Quality"), visit.page.get_by_role("spinbutton", name="Quality value")
    visit.drop(PHOTO)
    visit.expect_done()
    visit.set_slider("Quality", 60)
    visit.expect_done()

    with visit.answer() as answer, visit.held("**/pinch-temp*/**"):
        auto_quality(visit).select_option("High")
        expect(quality).to_be_disabled()
        expect(number).to_have_value("")  # nobody knows yet
    found_quality, similarity = answer["quality"], round(answer["similarity"])
    assert similarity == pytest.approx(SIMILARITIES["high"], abs=1)
    expect(number).to_have_value(str(found_quality))
    expect(quality).to_have_value(str(found_quality))
    expect(number).to_be_disabled()
    expect(visit.page.get_by_role("slider", name="Quality by Auto quality")).to_be_visible()
    visit.expect_done()
    facts = f"Quality {found_quality} · Similarity {similarity}"
    words = "Cannot be told apart: compression does not show"
    expect(found(visit)).to_have_text([facts, words])
    expect(visit.page.get_by_role("status")).to_contain_text(f"percent smaller. {facts}. {words}")

    visit.button("Reset Size").click()
    expect(quality).to_be_enabled()
    expect(target_size(visit)).to_be_focused()  # nothing before it could be when the link went
    visit.button("Undo").click()
    expect(quality).to_be_disabled()
    expect(number).to_have_value(str(found_quality))
    auto_quality(visit).select_option("Off")

    expect(quality).to_have_value("60")
    expect(quality).to_be_enabled()
    expect(number).to_be_enabled()
    expect(found(visit)).to_have_count(0)
    visit.expect_done()
    assert asked == [{}, {"quality": 60}, {"quality": 60, "auto_quality": "high"}]  # the rest was there


def test_the_words_are_those_of_the_similarity_that_was_aimed_at(visit: Visit) -> None:
    visit.drop(PHOTO)
    visit.expect_done()

    for choice, word in (("Balanced", "High"), ("Small", "Good")):
        with visit.answer() as answer:
            auto_quality(visit).select_option(choice)
        assert answer["similarity"] == pytest.approx(SIMILARITIES[choice.lower()], abs=1)
        expect(found(visit).last).to_contain_text(f"{word} similarity: compression")
    visit.expect_done()


def test_a_target_is_typed_in_kilobytes_and_told_plainly_when_it_is_out_of_reach(visit: Visit) -> None:
    asked = asked_by(visit)
    visit.drop(PHOTO)
    visit.expect_done()

    with visit.answer() as answer:
        fill(target_size(visit), "2.5")

    expect(visit.page.get_by_role("slider", name="Quality by Target size")).to_be_disabled()
    expect(found(visit)).to_have_text([f"Quality {answer['quality']}"])
    visit.expect_done()
    assert 2000 < len(visit.download()[1]) <= 2500

    fill(target_size(visit), "0.2")
    expect(target_size(visit)).to_have_value("1")
    missed = "1 KB is out of reach with these settings. Resize to go lower."
    expect(found(visit)).to_have_text(["Quality 1", missed])
    expect(visit.page.get_by_role("status")).to_contain_text(missed)
    visit.expect_done()
    assert len(visit.download()[1]) > 1000

    fill(target_size(visit), "")
    expect(visit.slider("Quality")).to_have_value("85")
    expect(visit.slider("Quality")).to_be_enabled()
    visit.expect_done()
    assert [each.get("target_bytes") for each in asked] == [None, 2500, 1000]


def test_the_format_that_won_is_told_and_names_the_file(open_visit: OpenVisit, url: str) -> None:
    photo = Sent("photo.png", encoded(FLOWER, "png"))
    logo = Sent("logo.png", encoded(Image.new("RGBA", (64, 64), "#0a66"), "png"))
    visit = open_visit(f'{url}#s={{"format":"jpeg"}}')
    visit.drop(logo, photo)
    expect(visit.badges).to_have_count(2)
    visit.tiles.last.click()
    expect(visit.link).to_have_attribute("download", "photo.jpg")
    visit.expect_done()

    with visit.answer() as answer:
        visit.choose("Smallest")

    title, extension = {"jpeg": ("JPEG", "jpg"), "webp": ("WebP", "webp")}[answer["format"]]
    quality, similarity = answer["quality"], round(answer["similarity"])
    expect(found(visit).first).to_have_text(f"{title} · Quality {quality} · Similarity {similarity}")
    expect(visit.slider("Quality")).to_be_enabled()
    visit.expect_done()
    name, data = visit.download()
    assert (name, len(data)) == (f"photo.{extension}", answer["bytes"])
    visit.page.get_by_role("button", name="Optimize all").click()
    expect(visit.page.get_by_role("button", name="Optimize all")).to_be_hidden()
    visit.tiles.first.click()
    expect(found(visit).first).to_have_text(re.compile(r"^\w+ · Similarity 100$"))  # a plain area keeps every pixel
    with visit.page.expect_download() as started:
        visit.page.get_by_role("button", name="Download all").click()
    first, second = zipfile.ZipFile(started.value.path()).namelist()
    assert first in ("logo.png", "logo.webp")  # whichever of those that hold its transparency
    assert second == f"photo.{extension}"


COUNT_ESTIMATES = """
    window.estimates = 0;
    const post = Worker.prototype.postMessage;
    Worker.prototype.postMessage = function (...told) { window.estimates += 1; post.apply(this, told); };
"""


def test_nothing_is_estimated_of_what_only_the_server_can_find(visit: Visit) -> None:
    asked = asked_by(visit)
    visit.page.add_init_script(COUNT_ESTIMATES)
    visit.page.reload()
    visit.drop(PHOTO)
    visit.expect_done()
    visit.choose("WebP")  # which the browser could make as well
    visit.expect_done()
    before = visit.page.evaluate("estimates")
    auto_quality(visit).select_option("Small")
    expect(found(visit)).to_have_count(2)
    visit.expect_done()
    sizes = visit.result.locator(".save p").inner_text()

    for value in (20, 40, 60):
        visit.draft_slider("Brightness", value)

    expect(visit.page.locator("canvas")).to_be_visible()
    expect(visit.page.locator(".after .size")).to_have_text("")
    expect(visit.result).to_have_attribute("data-pending", "")  # the numbers are those of before
    assert visit.result.locator(".save p").inner_text() == sizes
    assert asked == [{}, {"format": "webp"}, {"format": "webp", "auto_quality": "small"}]
    visit.set_slider("Brightness", 60)
    expect(visit.result).not_to_have_attribute("data-pending", "")
    visit.expect_done()
    assert asked[3:] == [{"format": "webp", "auto_quality": "small", "brightness": 60}]
    assert visit.page.evaluate("estimates") == before
    auto_quality(visit).select_option("Off")
    visit.page.wait_for_function("(before) => estimates > before", arg=before)
    visit.expect_done()


def test_what_is_to_be_found_travels_in_links_presets_and_to_the_next_visit(open_visit: OpenVisit, url: str) -> None:
    settings = {"format": "smallest", "auto_quality": "small", "target_bytes": 12_500}
    photo = Sent("photo.jpg", encoded(FLOWER.resize((96, 64)), "jpeg", quality=97))
    visit = open_visit(f"{url}#s={json.dumps(settings)}")
    asked = asked_by(visit)
    visit.drop(photo)
    visit.expect_done()
    expect(auto_quality(visit)).to_have_value("small")
    expect(target_size(visit)).to_have_value("12.5")
    visit.button("Save current").click()
    visit.page.get_by_role("textbox", name="Name of the preset").fill("Mail")
    visit.page.keyboard.press("Enter")
    visit.choose("Balanced")
    expect(target_size(visit)).to_have_value("")
    visit.expect_done()

    visit.choose("Mail")
    visit.expect_done()
    visit.page.reload()
    visit.drop(photo)
    visit.expect_done()

    assert asked == [settings, {}, settings]
