"""What is left of images in the process that serves them. `make load` sends a thousand."""

from tests.load.leaks import images_in_a_row


def test_a_hundred_and_fifty_images_leave_nothing(ministack_url: str) -> None:
    after = images_in_a_row(ministack_url, (50, 150))

    assert after[150].own_mb <= 1.1 * after[50].own_mb
    assert after[150].descriptors <= after[50].descriptors
    assert after[150].processes == after[50].processes
