"""Files coming in: by drop, picker and paste, several at once, and what is refused in words before it is sent."""

from pathlib import Path

from tests.browser.visit import CORPUS, LOGO, PHOTO, Sent, Visit, corpus, expect, picture

PNG = b"\x89PNG\r\n\x1a\n"


def test_the_picker_takes_several_files(visit: Visit) -> None:
    with visit.page.expect_file_chooser() as chooser:
        visit.button("Choose images").click()
    chooser.value.set_files([CORPUS / LOGO, CORPUS / PHOTO])

    expect(visit.badges).to_have_count(2)
    assert visit.calls.count("POST /api/uploads") == 1
    assert (visit.uploads(), visit.optimizes()) == (2, 2)


def test_a_dropped_folder_brings_its_images_however_deep_and_nothing_else(visit: Visit, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "day 2" / "evening").mkdir(parents=True)
    for name in ("b10.png", "b9.png", "day 2/a.PNG", "day 2/evening/z.png"):
        (folder / name).write_bytes(corpus("edge-1x1.png").data)
    (folder / "notes.txt").write_text("no image")
    (folder / ".DS_Store").write_bytes(b"")
    (tmp_path / "single.png").write_bytes(corpus(LOGO).data)

    visit.drop_paths(folder, tmp_path / "single.png")

    expect(visit.badges).to_have_count(5)
    assert (visit.calls.count("POST /api/uploads"), visit.uploads()) == (1, 5)
    order = ["b9.png", "b10.png", "a.PNG", "z.png", "single.png"]
    for index, name in enumerate(order):
        expect(visit.tiles.nth(index)).to_contain_text(name)


def test_a_folder_of_more_than_a_hundred_images_is_read_to_its_end(visit: Visit, tmp_path: Path) -> None:
    for number in range(120):
        (tmp_path / f"{number}.png").write_bytes(b"no image, so that nothing is uploaded")

    visit.drop_paths(tmp_path)

    expect(visit.tiles).to_have_count(120)


def test_a_folder_without_images_is_refused_in_words(visit: Visit, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")

    visit.drop_paths(tmp_path)

    expect(visit.tiles).to_have_count(1)
    expect(visit.page.get_by_text(f"{tmp_path.name} cannot be read. Choose it again.").first).to_be_visible()


def test_more_files_can_be_added(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()

    with visit.page.expect_file_chooser() as chooser:
        visit.button("Add images").click()
    chooser.value.set_files([CORPUS / "edge-1x1.png"])

    expect(visit.tiles).to_have_count(2)
    expect(visit.tiles.nth(1)).to_have_attribute("aria-current", "true")
    visit.expect_done()


def test_an_image_can_be_pasted_but_not_into_a_text_field(visit: Visit) -> None:
    visit.button("Choose images").focus()
    visit.paste(picture())
    visit.expect_done()

    visit.page.get_by_role("spinbutton", name="Quality value").focus()
    visit.paste(corpus(PHOTO))

    expect(visit.tiles).to_have_count(1)


def test_the_overlay_shows_only_while_files_are_dragged(visit: Visit) -> None:
    overlay = visit.page.get_by_text("Drop to add")
    expect(overlay).to_be_hidden()

    visit.drag(picture())
    expect(overlay).to_be_visible()
    visit.drop(picture())

    expect(overlay).to_be_hidden()
    visit.expect_done()


REFUSED = {
    Sent("clip.gif", b"GIF89a\x01\x00\x01\x00\x00\x00\x00;"): (
        "Not supported", "clip.gif is not supported. Use JPEG, PNG or WebP."),
    Sent("drawing.png", b"<svg xmlns='http://www.w3.org/2000/svg'/>"): (
        "Not supported", "drawing.png is not supported. Use JPEG, PNG or WebP."),
    Sent("holiday.png", PNG, 31_000_000): (
        "Too large", "holiday.png is 31 MB. The limit is 25 MB."),
    Sent("nothing.jpg", b""): (
        "Empty file", "nothing.jpg is empty. Choose it again, or export the image again."),
}  # fmt: skip
DAMAGED = (
    corpus("bad-truncated.jpg"),
    ("Damaged", "This JPEG file is damaged or cut off. Export the image again and send that."),
)


def test_what_cannot_be_taken_is_refused_in_words_and_the_rest_goes_on(visit: Visit) -> None:
    visit.expected.append("422")
    visit.drop(*REFUSED, picture(), DAMAGED[0])
    visit.expect_done()
    expect(visit.badges).to_have_count(1)
    expect(visit.tiles.last).to_contain_text("Damaged")

    for file, (short, message) in [*REFUSED.items(), DAMAGED]:
        tile = visit.tiles.filter(has_text=file.name)
        expect(tile).to_contain_text(short)
        tile.click()
        expect(visit.trouble).to_contain_text(message)
        expect(visit.result).to_be_hidden()
    assert (visit.uploads(), visit.optimizes()) == (2, 2)  # what the page itself refuses is not sent


def test_the_type_is_judged_by_the_bytes_not_by_the_name(visit: Visit) -> None:
    visit.drop(Sent("photo.txt", picture().data))
    visit.expect_done()

    expect(visit.link).to_have_attribute("download", "photo.png")


def test_a_file_of_exactly_the_limit_is_uploaded(visit: Visit) -> None:
    visit.expected.append("422")
    visit.drop(Sent("full.png", PNG, 25 * 2**20))

    expect(visit.trouble).to_contain_text("damaged")
    assert visit.uploads() == 1


def test_a_list_that_the_server_refuses_goes_again_without_the_file_it_names(visit: Visit) -> None:
    visit.expected.append("415")
    detail = "second.png is not supported. Use JPEG, PNG or WebP."
    problem = {"status": 415, "detail": detail, "errors": [{"field": "files[1].type", "detail": detail}]}
    visit.page.route(
        "**/api/uploads",
        lambda route: route.fulfill(status=415, content_type="application/problem+json", json=problem),
        times=1,
    )

    visit.drop(picture(), Sent("second.png", picture().data), corpus("edge-1x1.png"))

    expect(visit.badges).to_have_count(2)
    visit.tiles.nth(1).click()
    expect(visit.trouble).to_contain_text(detail)
