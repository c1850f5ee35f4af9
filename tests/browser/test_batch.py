"""Many images at once: refused and finished ones, pauses, all in one zip, settings of one's own, and a way back."""

import json
import re
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Download, Request, Response, Route

from tests.browser.conftest import OpenMoved
from tests.browser.visit import LOGO, Sent, Visit, corpus, expect, picture
from tests.images import encoded, photo

MINUS = "\N{MINUS SIGN}"
GOOD = 23
CLIP = Sent("clip.gif", b"GIF89a")
HUGE = Sent("huge.png", b"\x89PNG\r\n\x1a\n", 26 * 2**20 + 300_000)
REFUSED = {
    "Not supported": "clip.gif is not supported. Use JPEG, PNG or WebP.",
    "Too large": "huge.png is 28 MB. The limit is 25 MB.",
}


def numbered(number: int, name: str = "") -> Sent:
    """Make a photo that is told from the others by its width."""
    return Sent(name or f"photo {number}.jpg", encoded(photo(64 + number, 48), "jpeg", quality=97))


def twenty_five() -> list[Sent]:
    """Return 23 photos, of which the last has the name of the first, and two files that nobody can take."""
    good = [numbered(number) for number in range(GOOD - 1)] + [numbered(GOOD - 1, "photo 0.jpg")]
    return [*good[:5], CLIP, *good[5:12], HUGE, *good[12:]]


NAMES = [f"photo {number}.jpg" for number in range(GOOD - 1)] + ["photo 0 (2).jpg"]


def entries(download: Download) -> dict[str, Image.Image]:
    with zipfile.ZipFile(download.path()) as archive:
        assert archive.testzip() is None
        return {name: Image.open(BytesIO(archive.read(name))) for name in archive.namelist()}


def download_all(visit: Visit) -> dict[str, Image.Image]:
    with visit.page.expect_download() as started:
        visit.page.get_by_role("button", name="Download all").click()
    return entries(started.value)


def names(visit: Visit) -> list[str]:
    """Return the names of the images in the order in which they are shown."""
    titles: list[str] = visit.tiles.evaluate_all("(tiles) => tiles.map((tile) => tile.title)")
    return titles


def kilobytes(count: int) -> str:
    return f"{count / 1000:.1f} KB" if count < 10_000 else f"{count / 1000:.0f} KB"


def test_of_25_files_all_good_ones_come_back_in_one_zip_and_the_others_are_refused_in_words(visit: Visit) -> None:
    visit.drop(*twenty_five())

    expect(visit.badges).to_have_count(GOOD)
    expect(visit.tiles).to_have_count(GOOD + 2)
    assert visit.calls.count("POST /api/uploads") == 2
    assert (visit.uploads(), visit.optimizes()) == (GOOD, GOOD)
    for short, message in REFUSED.items():
        visit.tiles.filter(has_text=short).click()
        expect(visit.trouble).to_contain_text(message)
    saved = download_all(visit)
    assert list(saved) == NAMES
    assert [image.size for image in saved.values()] == [(64 + number, 48) for number in range(GOOD)]
    assert {image.format for image in saved.values()} == {"JPEG"}


def test_a_batch_goes_on_by_itself_through_every_pause(open_moved: OpenMoved) -> None:
    moved = open_moved("12 per 3 second")
    visit = moved.visit
    visit.expected.append("429")
    statuses: list[int] = []
    answers: list[dict[str, Any]] = []

    def note(response: Response) -> None:
        if response.url.endswith(("/uploads", "/optimize")):
            statuses.append(response.status)
        if response.url.endswith("/optimize") and response.status == 200:
            answers.append(response.json())

    visit.page.on("response", note)
    status = visit.page.get_by_role("status")

    visit.drop(*twenty_five())

    moved.until(visit.notice)
    expect(visit.notice).to_have_text(
        re.compile(r"Short pause\. The limit is 240 a minute\. Continues by itself in 4 s")
    )
    expect(status).to_contain_text("Short pause. The limit is 240 a minute. It continues by itself in")
    expect(visit.link).not_to_have_attribute("aria-disabled", "true")  # the image in hand does not wait
    moved.until(visit.badges.nth(GOOD - 1))
    moved.on(5_000)
    expect(visit.notice).to_be_hidden()
    expect(status).to_contain_text(f"{GOOD} images are optimized")
    # Two presigns and each image once: twice as many as a window lets through, and at most one had to be told so.
    assert statuses.count(429) <= 1
    assert statuses.count(201) + statuses.count(200) == 2 + GOOD
    before, after = sum(each["source"]["bytes"] for each in answers), sum(each["bytes"] for each in answers)
    expect(visit.page.locator("#total")).to_have_text(
        f"All: {kilobytes(before)} → {kilobytes(after)}, {MINUS}{100 - 100 * after / before:.0f}%"
    )
    expect(visit.button(f"Download all {GOOD} images, {kilobytes(after)}")).to_be_visible()


def test_download_all_first_makes_what_is_stale_and_tells_how_far_it_is(visit: Visit) -> None:
    visit.drop(*[numbered(number) for number in range(5)])
    expect(visit.badges).to_have_count(5)
    visit.choose("Web, small")
    expect(visit.link).to_have_attribute("download", "photo 0.webp")
    visit.expect_done()

    with visit.page.expect_download() as started:
        with visit.held():
            visit.page.get_by_role("button", name="Download all").click()
            expect(visit.page.get_by_role("button", name="Download all")).to_have_text("Download all 1 of 5")
            expect(visit.page.get_by_role("button", name="Optimize all")).to_be_hidden()
        expect(visit.page.get_by_role("button", name="Download all")).to_contain_text("5 images")
    saved = entries(started.value)

    assert list(saved) == [f"photo {number}.webp" for number in range(5)]
    assert {image.format for image in saved.values()} == {"WEBP"}
    assert visit.optimizes() == 5 + 5


def test_a_zip_holds_what_is_finished_when_an_image_fails(visit: Visit) -> None:
    visit.expected.append("422")

    visit.drop(numbered(1), corpus("bad-truncated.jpg"), numbered(2))
    expect(visit.badges).to_have_count(2)
    expect(visit.tiles.nth(1)).to_contain_text("Damaged")

    assert list(download_all(visit)) == ["photo 1.jpg", "photo 2.jpg"]


def quality(visit: Visit, tile: int) -> Any:
    """Select an image; return its quality as the form shows it."""
    visit.tiles.nth(tile).click()
    expect(visit.tiles.nth(tile)).to_have_attribute("aria-current", "true")
    return visit.slider("Quality").input_value()


def test_settings_of_one_image_leave_the_others_alone_until_it_follows_them_again(visit: Visit) -> None:
    own = visit.page.get_by_role("checkbox", name="Only this image")
    visit.drop(numbered(0), numbered(1), numbered(2))
    expect(visit.badges).to_have_count(3)
    visit.tiles.nth(1).click()
    own.check()
    with visit.page.expect_request("**/optimize") as sent:
        visit.set_slider("Quality", 20)
    visit.expect_done()

    assert sent.value.post_data_json == {"quality": 20}
    assert [quality(visit, tile) for tile in (0, 1, 2)] == ["85", "20", "85"]
    expect(own).not_to_be_checked()
    assert visit.optimizes() == 4
    visit.choose("WebP")
    expect(visit.link).to_have_attribute("download", "photo 2.webp")
    visit.expect_done()
    saved = download_all(visit)
    assert list(saved) == ["photo 0.webp", "photo 1.jpg", "photo 2.webp"]

    visit.tiles.nth(1).click()
    expect(own).to_be_checked()
    own.uncheck()

    expect(visit.slider("Quality")).to_have_value("85")
    expect(visit.page.locator("#form").get_by_role("radio", name="WebP")).to_be_checked()
    expect(visit.link).to_have_attribute("download", "photo 1.webp")
    visit.expect_done()


def test_settings_of_one_image_are_not_those_of_the_next_visit(visit: Visit) -> None:
    visit.drop(numbered(0), numbered(1))
    expect(visit.badges).to_have_count(2)
    visit.page.get_by_role("checkbox", name="Only this image").check()
    visit.set_slider("Quality", 20)
    visit.expect_done()

    visit.page.reload()
    visit.drop(numbered(0))
    visit.expect_done()

    expect(visit.slider("Quality")).to_have_value("85")


def test_one_failed_image_of_a_batch_is_tried_again_by_itself(visit: Visit) -> None:
    visit.expected.append("500")
    failing: list[Route] = []

    def fail_once(route: Route) -> None:
        failing.append(route)
        if len(failing) == 3:
            route.fulfill(status=500)
        else:
            route.continue_()

    visit.page.route("**/optimize", fail_once)
    visit.drop(*[numbered(number) for number in range(5)])
    failed = visit.tiles.filter(has_text="Failed")
    expect(visit.badges).to_have_count(4)
    expect(failed).to_have_count(1)

    failed.click()
    expect(visit.trouble).to_contain_text("Try again.")
    visit.button("Retry").click()

    expect(visit.badges).to_have_count(5)
    expect(visit.trouble).to_be_hidden()
    visit.expect_done()
    assert (visit.uploads(), visit.optimizes()) == (5, 6)


def test_undo_brings_all_deleted_images_back_in_their_order_with_their_settings(visit: Visit) -> None:
    order = ["photo 3.jpg", "photo 1.jpg", "clip.gif", "photo 2.jpg"]
    visit.drop(numbered(3), numbered(1), CLIP, numbered(2))
    expect(visit.badges).to_have_count(3)
    visit.tiles.nth(1).click()
    visit.page.get_by_role("checkbox", name="Only this image").check()
    visit.set_slider("Quality", 20)
    visit.expect_done()

    visit.button("Delete all").click()
    expect(visit.button("Choose images")).to_be_focused()
    expect(visit.page.get_by_role("status")).to_contain_text("4 images deleted.")
    visit.button("Undo").click()

    expect(visit.badges).to_have_count(3)
    assert names(visit) == order
    assert [quality(visit, tile) for tile in (0, 1, 3)] == ["85", "20", "85"]
    assert visit.uploads() == 6


def test_undo_puts_a_deleted_image_back_in_its_place(visit: Visit) -> None:
    order = [f"photo {number}.jpg" for number in range(3)]
    visit.drop(*[numbered(number) for number in range(3)])

    for place, name in enumerate(order):
        expect(visit.badges).to_have_count(3)
        visit.tiles.nth(place).hover()
        visit.button(f"Remove {name}").click()
        expect(visit.tiles).to_have_count(2)
        visit.button("Undo").click()

        expect(visit.badges).to_have_count(3)
        assert names(visit) == order
        expect(visit.tiles.nth(place)).to_have_attribute("aria-current", "true")
        visit.expect_done()


def test_a_chosen_folder_brings_its_images_however_deep_and_nothing_else(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "day 2" / "evening").mkdir(parents=True)
    for name in ("b10.png", "b9.png", "day 2/c.PNG", "day 2/evening/z.png"):
        (folder / name).write_bytes(corpus("edge-1x1.png").data)
    (folder / "a.webp").write_bytes(encoded(photo(), "webp"))
    (folder / "notes.txt").write_text("no image")
    (folder / ".DS_Store").write_bytes(b"")

    with visit.page.expect_file_chooser() as chooser:
        visit.button("or a folder").click()
    chooser.value.set_files(folder)

    expect(visit.badges).to_have_count(5)
    assert names(visit) == ["a.webp", "b9.png", "b10.png", "c.PNG", "z.png"]
    assert (visit.calls.count("POST /api/uploads"), visit.uploads()) == (1, 5)


def test_the_image_in_hand_is_made_before_the_batch_behind_it(visit: Visit) -> None:
    files = [numbered(number) for number in range(8)]
    with visit.held():
        visit.drop(*files)
        expect(visit.tiles.nth(7)).to_contain_text("optimizing")
        visit.tiles.nth(7).click()
    expect(visit.badges).to_have_count(8)
    visit.choose("WebP")
    visit.expect_done()
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.url.endswith("/optimize"):
            sent.append(request.post_data or "")

    visit.page.on("request", note)

    with visit.held():
        visit.page.get_by_role("button", name="Optimize all").click()
        visit.set_slider("Quality", 30)

    expect(visit.link).to_have_attribute("download", "photo 7.webp")
    visit.expect_done()
    # Two are under way when it asks, and all that still wait are made with the newest settings.
    assert [json.loads(each).get("quality") for each in sent[:3]] == [None, None, 30]
    expect(visit.page.get_by_role("button", name=re.compile("Optimize all 2 images"))).to_be_visible()


def test_more_images_join_a_batch_that_is_on_its_way(visit: Visit) -> None:
    with visit.held():
        visit.drop(numbered(0), numbered(1))
        expect(visit.tiles.nth(1)).to_contain_text("optimizing")
        visit.drop(picture(), corpus(LOGO))
        expect(visit.tiles.nth(2)).to_have_attribute("aria-current", "true")

    expect(visit.badges).to_have_count(4)
    assert (visit.calls.count("POST /api/uploads"), visit.uploads(), visit.optimizes()) == (2, 4, 4)
