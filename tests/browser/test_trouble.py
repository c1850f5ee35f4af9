"""Limits, late answers, expired sources and lost connections: the page waits, goes on, or says what to do."""

import re

import pytest
from playwright.sync_api import Request, Route

from tests.browser.conftest import OpenMoved, OpenVisit
from tests.browser.visit import SMALL, Visit, corpus, expect, picture


def test_a_reached_limit_is_waited_out_with_a_countdown(open_moved: OpenMoved) -> None:
    moved = open_moved("5 per 3 second")
    visit = moved.visit
    visit.expected.append("429")

    visit.drop(picture(), corpus("edge-1x1.png"), corpus("graphic-triangles-alpha.png"), corpus("anim-logo.webp"))

    countdown = re.compile(r"Short pause\. The limit is 100 a minute\. Continues by itself in 4 s")
    moved.until(visit.notice)
    expect(visit.notice).to_have_text(countdown)
    expect(visit.page.get_by_role("status")).to_contain_text("Short pause. The limit is 100 a minute.")
    moved.until(visit.badges.nth(3))
    moved.on(5_000)
    expect(visit.notice).to_be_hidden()
    expect(visit.page.get_by_role("status")).to_contain_text("The pause is over.")


def test_after_a_pause_only_the_newest_settings_are_sent(open_visit: OpenVisit) -> None:
    visit = open_visit(before=lambda page: page.clock.install())
    visit.expected.append("429")
    visit.drop(picture())
    visit.expect_done()
    sent: list[object] = []

    def note(request: Request) -> None:
        if request.url.endswith("/optimize"):
            sent.append(request.post_data_json)

    visit.page.on("request", note)
    visit.page.route("**/optimize", lambda route: route.fulfill(status=429, headers={"Retry-After": "60"}), times=1)

    visit.set_slider("Quality", 70)
    expect(visit.notice).to_be_visible()
    visit.set_slider("Quality", 60)
    visit.set_slider("Quality", 50)
    visit.page.clock.fast_forward(61_000)
    visit.expect_done()

    assert sent == [{"quality": 70}, {"quality": 50}]


def test_a_late_answer_to_old_settings_is_dropped(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    visit.choose("JPEG")
    visit.expect_done()
    late: list[Route] = []

    def hold(route: Route) -> None:
        late.append(route)

    visit.page.route("**/optimize", hold, times=1)
    with visit.page.expect_request("**/optimize"):
        visit.choose("PNG")

    visit.choose("WebP")
    webp = SMALL.replace(".png", ".webp")
    expect(visit.link).to_have_attribute("download", webp)
    answer = late[0].fetch()
    late[0].fulfill(response=answer)

    assert answer.status == 200
    visit.drop(corpus("edge-1x1.png"))  # all of this comes after the answer
    expect(visit.badges).to_have_count(2)
    visit.tiles.first.click()
    visit.expect_done()
    expect(visit.link).to_have_attribute("download", webp)
    assert visit.calls.count("GET S3") == 4  # nobody wanted its result


def test_moving_a_slider_asks_once_when_it_is_let_go(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    box = visit.slider("Quality").bounding_box()
    assert box

    y = box["y"] + box["height"] / 2
    visit.page.mouse.move(box["x"] + box["width"] * 0.84, y)
    visit.page.mouse.down()
    for part in range(80, 40, -2):
        visit.page.mouse.move(box["x"] + box["width"] * part / 100, y)
    expect(visit.page.get_by_role("spinbutton", name="Quality value")).not_to_have_value("85")
    assert visit.optimizes() == 1
    with visit.answer():
        visit.page.mouse.up()
    visit.expect_done()

    assert (visit.uploads(), visit.optimizes()) == (1, 2)


def test_an_expired_source_is_uploaded_again_silently(visit: Visit) -> None:
    visit.expected.append("404")
    with visit.answer() as answer:
        visit.drop(picture())
    visit.expect_done()
    discarded = visit.request.post(re.sub(r"/$", "", visit.page.url) + "/api/discard", data={"ids": [answer["id"]]})
    assert discarded.status == 204

    visit.choose("WebP")

    expect(visit.link).to_have_attribute("download", "small.webp")
    expect(visit.trouble).to_be_hidden()
    assert visit.uploads() == 2


def test_whatever_fails_is_told_and_retry_goes_on(visit: Visit) -> None:
    visit.expected += ["ERR_CONNECTION_RESET", "ERR_CONNECTION_REFUSED", "500"]
    lost = "The server cannot be reached. Check your connection and try again."
    retry = visit.button("Retry")

    visit.page.route("**/pinch-temp*", lambda route: route.abort("connectionreset"), times=1)
    visit.drop(picture())
    expect(visit.trouble).to_contain_text(lost)
    visit.page.route("**/optimize", lambda route: route.fulfill(status=500), times=1)
    retry.click()
    expect(visit.trouble).to_contain_text(re.compile("work. Try again."))
    retry.click()
    expect(visit.trouble).to_be_hidden()
    visit.expect_done()
    visit.page.route("**/optimize", lambda route: route.abort("connectionrefused"), times=1)
    visit.set_slider("Quality", 50)
    expect(visit.trouble).to_contain_text(lost)
    expect(visit.after).to_be_visible()  # the old result stays
    retry.click()

    expect(visit.trouble).to_be_hidden()
    visit.expect_done()


@pytest.mark.parametrize("is_loaded", [False, True], ids=["before the code came", "after it"])
def test_offline_waits_and_goes_on_when_the_connection_is_back(visit: Visit, is_loaded: bool) -> None:
    visit.expected.append("ERR_INTERNET_DISCONNECTED")
    banner = visit.page.locator("#offline")
    if is_loaded:
        visit.page.mouse.move(20, 20)
        expect(visit.page.locator("#form input[type=range]").first).to_be_attached()
    visit.page.context.set_offline(True)
    expect(banner).to_be_visible()
    visit.drop(picture())
    if is_loaded:
        expect(visit.tiles).to_have_count(1)  # it would have been uploaded by now
    assert not [call for call in visit.calls if call.startswith("POST")]

    visit.page.context.set_offline(False)

    visit.expect_done()
    expect(banner).to_be_hidden()
    expect(visit.trouble).to_be_hidden()


def test_refused_settings_are_explained_and_the_next_change_tries_again(visit: Visit) -> None:
    visit.expected.append("422")
    visit.drop(picture())
    visit.expect_done()
    detail = "Correct these settings and send them again: quality."
    errors = [{"field": "quality", "detail": "Give a whole number from 1 to 100."}]
    visit.page.route(
        "**/optimize",
        lambda route: route.fulfill(
            status=422, content_type="application/problem+json", json={"detail": detail, "errors": errors}
        ),
        times=1,
    )

    visit.set_slider("Quality", 50)
    expect(visit.trouble).to_contain_text(detail)
    expect(visit.trouble).to_contain_text("Give a whole number from 1 to 100.")
    visit.set_slider("Quality", 51)

    visit.expect_done()
    expect(visit.trouble).to_be_hidden()


def test_an_unreachable_server_is_told_at_the_start_and_files_wait_for_it(open_visit: OpenVisit) -> None:
    visit = open_visit()
    visit.expected.append("ERR_CONNECTION_REFUSED")
    visit.page.route("**/api/settings", lambda route: route.abort("connectionrefused"), times=1)
    visit.page.reload()
    expect(visit.page.get_by_role("alert")).to_contain_text("Pinch cannot reach its server.")
    visit.drop(picture())

    visit.button("Retry").click()

    visit.expect_done()
