"""A minute of a hand that never rests on the sliders, against the limit of a minute."""

from itertools import cycle, islice

from playwright.sync_api import Response

from tests.browser.conftest import OpenMoved
from tests.browser.visit import Sent, expect
from tests.images import encoded, photo

PHOTO = Sent("photo.jpg", encoded(photo(96, 64), "jpeg", quality=97))
GESTURES = [("Quality", 60), ("Brightness", 20), ("Resize", 70), ("Contrast", -15), ("Sharpen", 30), ("Quality", 45)]
SECONDS = 60


def test_a_minute_of_dragging_stays_within_the_limit_and_still_shows_results(open_moved: OpenMoved) -> None:
    moved = open_moved("30 per minute")
    visit = moved.visit
    statuses: list[int] = []

    def note(response: Response) -> None:
        if response.request.method == "POST" and "/api/uploads" in response.url:
            statuses.append(response.status)

    visit.page.on("response", note)
    visit.drop(PHOTO)
    moved.until(visit.badges)

    # One slider after the other is let go each second, at another value every time: twice as often as the limit allows.
    for count, (name, value) in enumerate(islice(cycle(GESTURES), SECONDS)):
        visit.set_slider(name, value + count // len(GESTURES) % 20)
        moved.on(1_000)

    assert set(statuses) == {200, 201}
    assert 15 < len(statuses) <= 30
    expect(visit.notice).to_be_hidden()
