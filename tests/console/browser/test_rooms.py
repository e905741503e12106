"""What people do in the console, in a real Chromium."""

import re
from collections.abc import Callable

import pytest
import requests
from playwright.sync_api import Page, expect

from app.accounts import tokens
from tests.accounts.world import World
from tests.conftest import PASSWORD
from tests.console.browser.windows import ADMIN, Window

pytestmark = pytest.mark.xdist_group("browser")

NewWindow = Callable[..., Window]

ROOMS = ("", "account", "people", "groups", "environments", "audit")


def status_of(address: str, key: str, path: str = "/functions") -> int:
    """How the API answers a key."""
    return requests.get(address + path, headers={"Authorization": f"Bearer {key}"}, timeout=20).status_code


def shown_key(page: Page) -> str:
    """The text of a key that is shown this once."""
    text = page.locator("#key").inner_text()
    assert re.fullmatch(tokens.PATTERN, text)
    return text


def test_signing_in_and_out(new_window: NewWindow, address: str) -> None:
    window = new_window(signed_in=False)
    page = window.page
    page.goto("/console/account")
    window.sign_in(ADMIN, "guess")
    expect(page.get_by_role("alert")).to_contain_text("no enabled account")
    expect(page.get_by_label("E-mail address")).to_have_value(ADMIN)
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    expect(page).to_have_url(f"{address}/console/")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_url(f"{address}/console/sign-in")
    page.goto("/console/account")
    expect(page).to_have_url(f"{address}/console/sign-in?next=/console/account")


def test_another_password_ends_the_other_windows_session_at_once(window: Window, new_window: NewWindow) -> None:
    other, page = new_window(), window.page
    other.page.goto("/console/account")
    page.goto("/console/account")
    window.mark()
    expect(page.locator("#sessions tbody tr")).to_have_count(2)
    page.get_by_label("Current password").fill("guess")
    page.get_by_label("New password").fill("correct horse battery")
    page.get_by_role("button", name="Change the password").click()
    expect(page.locator("#password")).to_contain_text("The current password is another one")
    expect(page.get_by_label("Current password")).to_be_focused()
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill("correct horse battery")
    page.get_by_role("button", name="Change the password").click()
    expect(page.get_by_role("status")).to_contain_text("The password is changed")
    # The list of sessions, another part, has changed with it, and nothing was loaded anew.
    expect(page.locator("#sessions tbody tr")).to_have_count(1)
    assert window.is_marked()
    other.page.get_by_label("What you are called here").fill("Nobody")
    other.page.get_by_role("button", name="Save").click()
    expect(other.page).to_have_url(re.compile(r"/console/sign-in\?next=/console/account$"))


def test_a_key_is_made_copied_used_rotated_and_revoked(window: Window, address: str) -> None:
    page = window.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=address)
    page.goto("/console/account")
    window.mark()
    window.unfold("Make a key")
    page.locator("#make-key-name").fill("deploys")
    page.get_by_label("functions:read").check()
    page.get_by_role("button", name="Make the key").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    first = page.evaluate("navigator.clipboard.readText()")
    assert first == shown_key(page)
    assert window.is_marked()
    assert [status_of(address, first), status_of(address, first, "/executions")] == [200, 403]
    page.reload()
    assert first not in page.content()
    # Of what was on the page htmx keeps the address alone.
    kept = page.evaluate("Object.values({...sessionStorage, ...localStorage})")
    assert kept == ["/console/account"]

    row = page.get_by_role("row", name="deploys")
    row.locator("summary", has_text="Rotate").click()
    row.get_by_label("The old key is good for").select_option("an hour")
    row.get_by_role("button", name="Rotate").click()
    second = shown_key(page)
    assert [status_of(address, key) for key in (first, second)] == [200, 200]

    row.locator("summary", has_text="Rotate").click()
    row.get_by_label("The old key is good for").select_option("no longer")
    row.get_by_role("button", name="Rotate").click()
    expect(page.locator("#key")).not_to_have_text(second)
    third = shown_key(page)
    assert [status_of(address, key) for key in (first, second, third)] == [401, 401, 200]

    row.locator("summary", has_text="Revoke").click()
    row.get_by_role("button", name="Revoke at once: deploys").click()
    expect(row).to_have_count(0)
    assert status_of(address, third) == 401


def test_people_and_groups(window: Window, address: str, world: World) -> None:
    page = window.page
    for _ in range(3):
        world.user()
    page.goto("/console/people")
    window.mark()
    window.unfold("Add somebody")
    page.locator("#make-user-email").fill("somebody1@example.org")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#make-user").get_by_role("alert")).to_contain_text("already a user")
    page.locator("#make-user-email").fill("ada@example.org")
    page.locator("#make-user-name").fill("Ada")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("#users-found tbody tr")).to_have_count(5)
    window.settle()
    page.get_by_role("searchbox").press_sequentially("aDa@")
    expect(page.locator("#users-found tbody tr")).to_have_count(1)
    expect(page.get_by_role("searchbox")).to_be_focused()
    assert window.is_marked()

    page.goto("/console/groups")
    window.unfold("Make a group")
    page.locator("#make-group-name").fill("readers")
    page.get_by_role("button", name="Make the group").click()
    page.get_by_role("link", name="readers").click()
    page.get_by_role("searchbox").fill("ada")
    page.get_by_role("button", name="Add: Ada").click()
    expect(page.get_by_role("button", name="Remove: Ada")).to_be_visible()
    page.get_by_role("link", name="Ada").click()
    expect(page.get_by_role("link", name="readers")).to_be_visible()
    page.get_by_label("May sign in").select_option("false")
    page.locator("#person").get_by_role("button", name="Save").click()
    expect(page.locator("#person")).to_contain_text("developer, disabled")
    window.unfold("Delete this user")
    page.get_by_role("button", name="Delete this user").click()
    expect(page).to_have_url(f"{address}/console/people")
    expect(page.locator("#users-found")).not_to_contain_text("Ada")


def test_environments(window: Window, address: str, world: World) -> None:
    page = window.page
    world.group(world.user())
    page.goto("/console/environments")
    window.unfold("Make an environment")
    page.locator("#make-environment-name").fill("Not A Name")
    page.get_by_role("button", name="Make the environment").click()
    expect(page.locator("#make-environment-name-said")).to_contain_text("A name has 1 to 63")
    expect(page.locator("#make-environment-name")).to_be_focused()
    page.locator("#make-environment-name").fill("production")
    page.get_by_role("button", name="Make the environment").click()
    page.get_by_role("link", name="production").click()
    for key, value, is_secret in (("REGION", "eu\nwest", False), ("TOKEN", "a secret of ours", True)):
        window.unfold("Add a variable")
        page.locator("#set-entry-key").fill(key)
        page.locator("#set-entry-value").fill(value)
        page.get_by_label("Secret:").set_checked(is_secret)
        page.get_by_role("button", name="Set", exact=True).click()
        expect(page.get_by_role("row", name=key).first).to_be_visible()
    assert page.locator("#entries code.value").inner_text() == "eu\nwest"
    expect(page.locator("#history")).to_contain_text("TOKEN")
    assert "a secret of ours" not in page.content()
    page.locator("#sharing").get_by_role("searchbox").fill("group")
    page.get_by_role("button", name="Add: group").click()
    expect(page.locator("#sharing")).to_contain_text("group 2")
    page.locator("#profile-form-name").fill("staging")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("staging")
    window.unfold("Delete this environment")
    page.get_by_role("button", name="Delete this environment").click()
    expect(page).to_have_url(f"{address}/console/environments")
    expect(page.locator("#all")).to_contain_text("There are none yet.")


def test_what_nobody_answers_is_told(window: Window) -> None:
    page = window.page
    page.goto("/console/account")
    page.route("**/console/account/name", lambda route: route.fulfill(status=502, body="<h1>a proxy's page</h1>"))
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#notice")).to_contain_text("does not answer as it should")
    assert "a proxy's page" not in page.content()
    assert "502" in window.said.pop(0)
    assert "502" in window.said.pop(0)


#: For each element with a text of its own, the contrast of the text with what is behind it (WCAG 2.2, 1.4.3).
CONTRASTS = """() => {
  const channels = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = channels(colour).slice(0, 3).map((one) => one / 255)
      .map((one) => one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const colour = getComputedStyle(one).backgroundColor;
      if ((channels(colour)[3] ?? 1) > 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  return [...document.body.querySelectorAll("*")]
    .filter((one) => [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()))
    .filter((one) => one.checkVisibility())
    .map((one) => {
      const both = [luminance(getComputedStyle(one).color), luminance(behind(one))].sort((a, b) => b - a);
      return [one.textContent.trim().slice(0, 40), (both[0] + 0.05) / (both[1] + 0.05)];
    });
}"""


def test_every_text_can_be_read_in_light_and_dark(new_window: NewWindow) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        page = new_window(color_scheme=scheme).page
        for room in ROOMS:
            page.goto(f"/console/{room}")
            for details in page.locator("details").all():
                details.evaluate("(one) => one.open = true")
            contrasts = page.evaluate(CONTRASTS)
            assert len(contrasts) > 8
            assert [one for one in contrasts if one[1] < 4.5] == [], f"{room} in {scheme}"
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_a_phone_scrolls_down_and_not_to_the_side(new_window: NewWindow, world: World) -> None:
    page = new_window(viewport={"width": 360, "height": 740}).page
    world.group(world.user())
    for room in ROOMS:
        page.goto(f"/console/{room}")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360, room


def test_the_keyboard_is_enough(window: Window) -> None:
    page = window.page
    page.goto("/console/account")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("What you are called here")).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.type("Ada")
    page.keyboard.press("Enter")
    expect(page.locator("#me")).to_have_text("Ada")
    # The field went with its part, and the focus is where it was.
    expect(page.get_by_label("What you are called here")).to_be_focused()


def test_the_rooms_work_without_scripts(new_window: NewWindow, address: str) -> None:
    window = new_window(java_script_enabled=False)
    page = window.page
    page.goto("/console/account")
    window.unfold("Make a key")
    page.locator("#make-key-name").fill("deploys")
    page.get_by_label("Ends on").fill("2001-01-01")
    page.get_by_role("button", name="Make the key").click()
    expect(page.locator("#make-key-expiresAt-said")).to_contain_text("within 366 days")
    page.get_by_label("Ends on").fill("")
    page.get_by_role("button", name="Make the key").click()
    assert status_of(address, shown_key(page)) == 200
    expect(page.locator("[data-copies]")).to_be_hidden()
    page.goto("/console/people")
    page.get_by_role("searchbox").fill("nobody at all")
    page.get_by_role("button", name="Find").click()
    expect(page.locator("#users")).to_contain_text("Nobody is called like that.")


def test_another_origins_page_changes_nothing(window: Window, address: str) -> None:
    # Given a page of another origin that is of the same site for browsers, so that they send our cookie along
    page, elsewhere = window.page, "http://127.0.0.1:9999/"
    fields = '<input name="name" value="forged"><button>Win</button>'
    form = f'<form method="post" action="{address}/console/groups">{fields}</form>'
    page.route(elsewhere, lambda route: route.fulfill(content_type="text/html", body=form))
    page.goto(elsewhere)
    # When it sends a form of ours
    with page.expect_response("**/console/groups") as answered:
        page.get_by_role("button", name="Win").click()
    # Then nothing is done
    assert "kiln_session" in answered.value.request.all_headers()["cookie"]
    assert answered.value.status == 403
    expect(page.get_by_role("alert")).to_contain_text("Only pages of this server may ask for this.")
    page.goto("/console/groups")
    expect(page.locator("#all")).to_contain_text("There are no groups yet.")


def test_the_api_can_be_browsed(window: Window) -> None:
    window.page.goto("/docs")
    operation = window.page.locator(".opblock", has=window.page.locator('[data-path="/languages"]'))
    operation.get_by_role("button").first.click()
    expect(operation.get_by_text("No parameters")).to_be_visible()
