"""From a dropped photo to the lighter file."""

from io import BytesIO

from PIL import Image

from tests.browser.visit import LOGO, PHOTO, SMALL, Visit, corpus, expect, picture

MINUS = "\N{MINUS SIGN}"


def test_a_dropped_photo_comes_back_smaller_upright_and_without_metadata_and_the_gain_is_told(visit: Visit) -> None:
    with visit.answer() as first:
        visit.drop(corpus(PHOTO))
    visit.expect_done()

    saved = f"{round(first['saved_percent'])}"
    expect(visit.result.locator("strong")).to_have_text(f"{MINUS}{saved}%")
    expect(visit.result).to_contain_text(f"600 KB → {round(first['bytes'] / 1000)} KB")
    expect(visit.tiles.first).to_contain_text(f"{MINUS}{saved}%")
    expect(visit.page.get_by_role("status")).to_contain_text(f"{saved} percent smaller")
    expect(visit.page.get_by_text("Removed: camera data (EXIF), location (GPS)")).to_be_visible()
    expect(visit.page.get_by_text("2048 \N{MULTIPLICATION SIGN} 1366")).to_be_visible()

    with visit.answer() as second:
        visit.set_slider("Quality", 40)
    visit.expect_done()
    name, data = visit.download()

    assert (visit.uploads(), visit.optimizes()) == (1, 2)
    assert visit.calls.count("POST /api/uploads") == 1
    assert len(data) == second["bytes"] < first["bytes"] / 2
    assert second["quality"] == 40
    image = Image.open(BytesIO(data))
    assert (name, image.format, image.size) == (PHOTO, "JPEG", (2048, 1366))
    assert (dict(image.getexif()), set(image.info) & {"exif", "xmp", "comment", "icc_profile"}) == ({}, set())


def test_the_original_stands_beside_a_placeholder_until_the_first_result(visit: Visit) -> None:
    placeholder = visit.page.get_by_text("Your optimized image appears here")
    with visit.held():
        visit.drop(picture())

        expect(visit.before).to_be_visible()
        expect(placeholder).to_be_visible()
        expect(visit.page.get_by_role("radio", name="Side by side")).to_be_checked()

    visit.expect_done()
    expect(visit.page.get_by_role("radio", name="Split")).to_be_checked()
    expect(placeholder).to_be_hidden()


def test_settings_tried_before_show_again_without_a_request(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    visit.choose("WebP")
    expect(visit.link).to_have_attribute("download", "small.webp")

    visit.choose("Original")
    expect(visit.link).to_have_attribute("download", SMALL)
    visit.choose("WebP")
    expect(visit.link).to_have_attribute("download", "small.webp")

    assert (visit.uploads(), visit.optimizes()) == (1, 2)


def test_it_is_told_that_a_file_is_kept_and_what_a_conversion_cost(visit: Visit) -> None:
    visit.drop(corpus("edge-1x1.png"))
    visit.expect_done()
    expect(visit.page.get_by_text("Already as small as it gets: the original pixels are kept.")).to_be_visible()

    visit.drop(corpus(LOGO))
    visit.expect_done()
    visit.choose("JPEG")

    expect(visit.page.get_by_text("Transparent areas were filled with the background colour.")).to_be_visible()


def test_without_live_preview_a_button_asks(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    visit.page.get_by_role("checkbox", name="Live preview").uncheck()

    visit.set_slider("Quality", 30)
    expect(visit.button("Optimize")).to_be_visible()
    visit.drop(corpus("edge-1x1.png"))
    expect(visit.result).to_contain_text("Ready")
    assert visit.optimizes() == 1
    visit.button("Optimize").click()

    visit.expect_done()
    expect(visit.button("Optimize")).to_be_hidden()
    assert visit.optimizes() == 2


def test_only_the_selected_image_follows_the_settings_until_all_are_asked_for(visit: Visit) -> None:
    visit.drop(picture(), corpus("graphic-triangles-alpha.png"))
    expect(visit.badges).to_have_count(2)

    visit.choose("WebP")
    expect(visit.link).to_have_attribute("download", "small.webp")
    expect(visit.tiles.nth(1)).to_contain_text("made with other settings")
    assert visit.optimizes() == 3
    visit.button("Optimize all 1 image").click()
    expect(visit.tiles.nth(1)).not_to_contain_text("made with other settings")
    expect(visit.button("Optimize all 1 image")).to_be_hidden()

    assert (visit.uploads(), visit.optimizes()) == (2, 4)


def test_without_the_code_for_a_zip_the_results_are_saved_one_by_one(visit: Visit) -> None:
    visit.drop(picture(), corpus("graphic-triangles-alpha.png"))
    expect(visit.badges).to_have_count(2)
    visit.expected.append("ERR_INTERNET_DISCONNECTED")
    visit.page.route("**/client-zip-*.js", lambda route: route.abort("internetdisconnected"))
    names: list[str] = []
    visit.page.on("download", lambda download: names.append(download.suggested_filename))

    visit.page.get_by_role("button", name="Download all 2 images").click()
    visit.page.wait_for_event("download", lambda download: "triangles" in download.suggested_filename)

    assert names == [SMALL, "graphic-triangles-alpha.png"]
