"""What is left of images in the process that serves them. `make load` sends a thousand."""

import pytest

from tests.images import encoded, noise
from tests.load.images import Source
from tests.load.leaks import images_in_a_row


def test_images_leave_nothing(ministack_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "MALLOC_ARENA_MAX", "1"
    )  # else each thread keeps some for itself, whenever it has its first turn
    # Of few pixels, so that it is quick, and of many bytes, so that a source or a result that stays is seen.
    heavy = Source("a.png", "image/png", encoded(noise(512, 512), "png"))
    assert len(heavy.data) > 750_000

    after = images_in_a_row(ministack_url, (6, 18), [({"format": "png", "lossless": True}, heavy)])

    assert after[18].own_mb - after[6].own_mb < 12 * 0.75 / 4  # a quarter of each would be more
    assert after[18].descriptors <= after[6].descriptors
    assert after[18].processes == after[6].processes
