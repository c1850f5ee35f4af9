"""The form that is made from the schema, and settings under a name."""

from typing import Any, cast

from playwright.sync_api import Route

from tests.browser.conftest import OpenVisit
from tests.browser.visit import Visit, expect, picture


def controls(visit: Visit) -> list[str]:
    names: list[str] = visit.page.locator("#form").evaluate(
        "(form) => [...form.querySelectorAll('input, select')].map((input) => input.id || input.name)"
    )
    return sorted({name.removeprefix("s-") for name in names if name})


def test_every_setting_of_the_schema_has_a_control(visit: Visit, url: str) -> None:
    schema = visit.request.get(f"{url}api/settings").json()
    visit.drop(picture())
    visit.expect_done()

    assert controls(visit) == sorted(schema["properties"])
    for setting in schema["properties"].values():
        expect(visit.page.locator("#form").get_by_text(setting["title"], exact=False).first).to_be_visible()


NEW: dict[str, dict[str, Any]] = {
    "combobox": {"type": "string", "enum": ["a", "b"], "default": "a"},
    "radio": {"type": "string", "enum": ["a", "b"], "default": "a", "x-group": "choice"},
    "checkbox": {"type": "boolean", "default": False},
    "slider": {"type": "integer", "minimum": 0, "maximum": 9, "default": 3},
    "spinbutton": {"type": ["integer", "null"], "minimum": 1, "maximum": 9, "default": None},
    "textbox": {"type": "string", "default": ""},
}


def test_a_new_setting_appears_by_itself(visit: Visit) -> None:
    def add(route: Route) -> None:
        document = route.fetch().json()
        for role, schema in NEW.items():
            name = "choice" if role == "radio" else f"new_{role}"  # a group of its name makes choices of it
            document["properties"][name] = {"title": f"New {role}", "x-group": f"of-{role}"} | schema
        route.fulfill(json=document)

    visit.page.route("**/api/settings", add)
    visit.page.reload()
    visit.drop(picture())
    visit.expect_done()

    for role in NEW:
        group = visit.page.locator("#form").get_by_role("group", name="choice" if role == "radio" else f"of-{role}")
        expect(group.get_by_role(cast(Any, role)).first).to_be_visible()


def test_only_what_differs_from_the_defaults_is_sent(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()

    with visit.page.expect_request("**/optimize") as sent:
        visit.page.get_by_role("spinbutton", name="Max. width").fill("48")
        visit.page.keyboard.press("Enter")
    visit.expect_done()

    assert sent.value.post_data_json == {"width": 48}
    expect(visit.page.get_by_text("48 \N{MULTIPLICATION SIGN} 32")).to_be_visible()


def test_what_is_out_of_bounds_becomes_the_nearest_what_is_empty_the_default_and_a_group_is_reset(visit: Visit) -> None:
    visit.drop(picture())
    visit.expect_done()
    number = visit.page.get_by_role("spinbutton", name="Quality value")
    number.fill("900")
    number.press("Tab")
    expect(number).to_have_value("100")
    number.fill("")
    number.press("Tab")
    expect(number).to_have_value("85")

    reset = visit.button("Reset Adjust")
    expect(reset).to_be_hidden()
    visit.set_slider("Sharpen", 30)
    visit.set_slider("Contrast", -20)
    reset.click()

    expect(visit.slider("Sharpen")).to_have_value("0")
    expect(visit.slider("Contrast")).to_have_value("0")
    expect(reset).to_be_hidden()
    visit.expect_done()


def save_preset(visit: Visit, name: str) -> None:
    visit.button("Save current").click()
    visit.page.get_by_role("textbox", name="Name of the preset").fill(name)
    visit.button("Save").click()


def test_an_own_preset_is_saved_applied_deleted_and_restored_across_reloads(visit: Visit) -> None:
    page = visit.page
    mine = page.get_by_role("radio", name="My blog")
    visit.drop(picture())
    visit.expect_done()
    visit.set_slider("Quality", 33)
    save_preset(visit, "My blog")
    expect(mine).to_be_checked()

    visit.choose("Balanced")
    page.reload()
    visit.drop(picture())
    expect(mine).not_to_be_checked()
    visit.choose("My blog")
    expect(visit.slider("Quality")).to_have_value("33")

    visit.button("Delete preset My blog").click()
    expect(mine).to_have_count(0)
    visit.button("Undo").click()
    expect(mine).to_be_checked()
    page.reload()
    visit.drop(picture())
    expect(mine).to_be_checked()

    visit.button("Delete preset My blog").click()
    page.reload()
    visit.drop(picture())
    expect(page.get_by_role("radio", name="Balanced")).to_be_visible()
    expect(mine).to_have_count(0)
    visit.expect_done()


def test_choices_last_for_the_visit_where_storage_is_blocked(open_visit: OpenVisit) -> None:
    visit = open_visit()
    visit.page.add_init_script(
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError'); } })"
    )
    visit.page.reload()
    visit.drop(picture())
    visit.expect_done()

    save_preset(visit, "Fleeting")

    expect(visit.page.get_by_role("radio", name="Fleeting")).to_be_visible()


def test_what_an_older_version_kept_is_dropped_where_the_server_knows_it_no_more(visit: Visit) -> None:
    visit.page.evaluate("""() => {
        localStorage.setItem('pinch.settings', '{"quality": 400, "gone": 1, "format": "webp"}');
        localStorage.setItem('pinch.presets', '[{"title": "Old", "settings": {"gone": 1}}, null]');
    }""")
    visit.page.reload()

    with visit.page.expect_request("**/optimize") as sent:
        visit.drop(picture())

    assert sent.value.post_data_json == {"format": "webp"}
    expect(visit.page.get_by_role("radio", name="Old")).to_be_visible()
    visit.expect_done()
