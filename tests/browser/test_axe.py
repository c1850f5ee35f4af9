"""axe finds nothing to complain of, in whatever state the page is."""

import pytest

from tests.browser.axe import violations
from tests.browser.states import STATES
from tests.browser.visit import Visit
from tests.sampling import WHOLE


@pytest.mark.parametrize("state", STATES)
def test_axe_finds_nothing_in_either_theme_on_any_screen(visit: Visit, state: str) -> None:
    STATES[state](visit)

    found = violations(visit, WHOLE)

    assert not found, "\n\n".join(found)


def test_axe_does_find_what_is_wrong(visit: Visit) -> None:
    visit.page.locator("#choose").evaluate("(button) => button.replaceChildren()")

    found = violations(visit)

    assert len(found) == 4
    assert found[0].startswith("light, 1440 px: button-name at #choose: Fix any of the following:")
