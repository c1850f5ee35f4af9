"""A minute of a hand that never rests on the sliders, against the real limit of a minute."""

from itertools import cycle
from time import monotonic

from playwright.sync_api import Response

from tests.browser.conftest import OpenVisit, Serve
from tests.browser.visit import Sent, Visit
from tests.images import encoded, photo

# A JPEG, which is made in no time whatever its settings: a gesture drops the request that the last one sent.
PHOTO = Sent("photo.jpg", encoded(photo(96, 64), "jpeg", quality=97))
GESTURES = [("Quality", 60), ("Brightness", 20), ("Resize", 70), ("Contrast", -15), ("Sharpen", 30), ("Quality", 45)]


def test_a_minute_of_dragging_stays_within_the_limit_and_still_shows_results(
    open_visit: OpenVisit, serve: Serve
) -> None:
    visit = open_visit(serve(RATE_LIMIT="30 per minute"))
    statuses: list[int] = []

    def note(response: Response) -> None:
        if response.request.method == "POST" and "/api/uploads" in response.url:
            statuses.append(response.status)

    visit.page.on("response", note)
    visit.drop(PHOTO)
    visit.expect_done()

    released = drag_for(visit, seconds=60)

    assert released > 40  # far more than the limit
    assert len(statuses) <= 30
    assert set(statuses) <= {200, 201}
    assert len(statuses) > 15


def drag_for(visit: Visit, seconds: int) -> int:
    """Move one slider after the other, each to another value every time. Returns how often one was let go."""
    until = monotonic() + seconds
    for count, (name, value) in enumerate(cycle(GESTURES)):
        if monotonic() > until:
            return count
        visit.set_slider(name, value + count // len(GESTURES) % 20)
        visit.page.wait_for_timeout(600)
    raise AssertionError("cycle never ends")
