"""What is left of images in the process that serves them. `make load` sends a thousand."""

from tests.load.leaks import images_in_a_row


def test_ninety_images_leave_nothing(ministack_url: str) -> None:
    after = images_in_a_row(ministack_url, (30, 90))

    assert after[90].own_mb <= 1.1 * after[30].own_mb
    assert after[90].descriptors <= after[30].descriptors
    assert after[90].processes == after[30].processes
