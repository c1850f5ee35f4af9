"""axe finds nothing to complain of, in whatever state the page is."""

import pytest

from tests.browser.axe import violations
from tests.browser.states import STATES, Step
from tests.browser.visit import Visit
from tests.sampling import WHOLE

# The states that one visit can be in one after the other. All others begin with a visit of their own.
WAYS = (
    ("empty", "dragging", "error", "refused"),
    ("done", "side", "zoomed", "naming", "undo", "estimate", "rate-limited", "shortcuts"),
)
ALONE = tuple((state,) for state in STATES if not any(state in way for way in WAYS))


@pytest.mark.parametrize("way", WAYS + ALONE, ids=lambda way: way[-1])
def test_axe_finds_nothing_in_either_theme_on_any_screen(visit: Visit, way: tuple[str, ...]) -> None:
    taken: set[Step] = set()
    found = []
    for state in way:
        for step in STATES[state]:
            if step not in taken:
                step(visit)
        taken |= {*STATES[state]}
        found += [f"{state}, {each}" for each in violations(visit, WHOLE)]
        visit.page.set_viewport_size({"width": 1440, "height": 900})

    assert not found, "\n\n".join(found)


def test_axe_does_find_what_is_wrong(visit: Visit) -> None:
    visit.page.locator("#choose").evaluate("(button) => button.replaceChildren()")

    found = violations(visit)

    assert len(found) == 4
    assert found[0].startswith("light, 1440 px: button-name at #choose: Fix any of the following:")
