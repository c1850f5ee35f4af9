"""Nothing stays: images are discarded when they are removed and when the page is left."""

from typing import Any
from urllib.parse import urljoin

import pytest

from tests.browser.conftest import OpenVisit
from tests.browser.visit import PHOTO, SMALL, Visit, corpus, expect, picture, wait_until


def is_gone(visit: Visit, url: str, upload_id: str) -> bool:
    """Tell whether the server knows the upload no more."""
    return visit.request.post(urljoin(url, f"/api/uploads/{upload_id}/optimize"), data={}).status == 404


def expect_all_gone(visit: Visit, url: str, answer: dict[str, Any]) -> None:
    """Wait for the beacon, which is under way when the page has gone: it takes the source, then the result."""
    wait_until(lambda: is_gone(visit, url, answer["id"]) and visit.request.get(answer["url"]).status == 404)


@pytest.mark.parametrize("how", ["navigate", "close", "reload"])
def test_leaving_the_page_discards_source_and_result(visit: Visit, url: str, how: str) -> None:
    with visit.answer() as answer:
        visit.drop(picture())
    visit.expect_done()
    assert visit.request.get(answer["url"]).status == 200

    if how == "close":
        visit.page.close()
    elif how == "reload":
        visit.page.reload()
    else:
        visit.page.goto("about:blank")

    expect_all_gone(visit, url, answer)


def test_coming_back_from_the_cache_of_the_browser_uploads_again(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()

    visit.page.evaluate("""() => {
        dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }));
        dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    }""")
    visit.choose("WebP")

    expect(visit.link).to_have_attribute("download", "small.webp")
    assert visit.uploads() == 2


def test_delete_now_discards_one_image_and_selects_the_next(visit: Visit, url: str) -> None:
    with visit.answer() as answer:
        visit.drop(picture())
    visit.expect_done()
    visit.drop(corpus(PHOTO))
    visit.expect_done()
    visit.tiles.nth(0).click()

    with visit.page.expect_response("**/api/discard") as discard:
        visit.button("Delete now").click()

    assert discard.value.status == 204
    assert is_gone(visit, url, answer["id"])
    expect(visit.tiles).to_have_count(1)
    expect(visit.tiles.first).to_be_focused()
    expect(visit.tiles.first).to_have_attribute("aria-current", "true")
    expect(visit.page.get_by_role("status")).to_contain_text(f"{SMALL} deleted.")


def test_removing_the_last_image_leads_back_to_the_start(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()

    visit.tiles.first.hover()
    visit.button(f"Remove {SMALL}").click()

    expect(visit.page.get_by_role("heading", name="Drop images to make them lighter")).to_be_visible()
    expect(visit.button("Choose images")).to_be_focused()


def test_delete_all_discards_every_image(visit: Visit) -> None:
    visit.drop(picture(), corpus("edge-1x1.png"))
    expect(visit.badges).to_have_count(2)

    with visit.page.expect_response("**/api/discard") as discard:
        visit.button("Delete all").click()

    assert discard.value.status == 204
    assert len((discard.value.request.post_data_json or {})["ids"]) == 2
    expect(visit.button("Choose images")).to_be_visible()


def test_cancel_ends_an_upload_and_discards_its_id(visit: Visit) -> None:
    visit.page.route("**/pinch-temp*", lambda _: None)  # never answered
    visit.drop(picture())

    with visit.page.expect_response("**/api/discard") as discard:
        visit.button("Cancel").click()

    expect(visit.button("Choose images")).to_be_visible()
    assert discard.value.status == 204
    assert visit.optimizes() == 0


def test_the_promise_names_the_retention_of_the_deployment(open_visit: OpenVisit, brief_url: str) -> None:
    visit = open_visit(brief_url)

    expect(visit.page.get_by_role("contentinfo")).to_contain_text("Deleted when you leave, 7 minutes at most")
    visit.drop(picture())
    visit.expect_done()

    expect(visit.page.get_by_role("banner")).to_contain_text("Deleted when you leave, 7 minutes at most")
