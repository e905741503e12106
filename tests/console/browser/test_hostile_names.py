"""Whatever something is called, browsers show it, and do nothing else with it."""

from collections.abc import Callable, Iterator
from typing import Final
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, Response, expect

from app.accounts import credentials, people
from app.accounts.models import User
from app.accounts.sharing import Sharing
from app.audit.domain import Actor
from app.environments import service as environments
from app.environments.domain import Secret, Wish
from app.rules import Role
from tests.accounts.world import World
from tests.console.browser.hostile import PAYLOADS
from tests.console.browser.windows import ADMIN, Window

pytestmark = pytest.mark.xdist_group("browser")

#: As many of them as one name holds.
LONG: Final = "".join(PAYLOADS)[:200]

#: Every element and attribute that pages of ours have. What is not among them came from a name.
OURS: Final = {
    "elements": "html head meta title link script body a header nav div form input button main bdi h1 h2 h3 p section "
    "table thead tbody tr th td span code strong details summary label select option fieldset legend textarea ul li dl "
    "dt dd time del ins",
    "attributes": "lang charset name content rel href type src defer class id aria-label aria-current aria-live "
    "aria-labelledby aria-describedby aria-invalid tabindex hx-boost hx-target hx-swap hx-push-url hx-get hx-trigger "
    "hx-sync hx-select hx-disabled-elt data-disabled-by-htmx method action value maxlength minlength required "
    "autofocus autocomplete spellcheck rows hidden for role selected checked data-label data-copies scope title "
    "datetime colspan open disabled",
}

FOREIGN = """(ours) => {
  const all = [...document.querySelectorAll("*")];
  const leads = (one) => ["href", "src", "action", "hx-get"]
    .filter((name) => one.hasAttribute(name) && !/^[/#](?!\\/)/.test(one.getAttribute(name)));
  return [
    ...all.map((one) => one.localName).filter((name) => !ours.elements.split(" ").includes(name)),
    ...all.flatMap((one) => one.getAttributeNames()).filter((name) => !ours.attributes.split(" ").includes(name)),
    ...all.flatMap(leads),
    ...all.filter((one) => one.id === "notice").slice(1).map((one) => one.outerHTML),
    ...all.filter((one) => one.localName === "script").slice(2).map((one) => one.outerHTML),
  ];
}"""


class Named:
    """A database in which everything is called like that."""

    def __init__(self, world: World) -> None:
        platform, actor = world.platform, world.root.actor
        (admin,) = people.users(platform, before=None, limit=1, find=ADMIN)
        self.group = people.create_group(platform, actor, name=LONG, description="".join(PAYLOADS)[:2000]).id
        self.user = self._user(world, LONG, "long@example.org").id
        people.add_member(platform, actor, self.group, self.user)
        for number, payload in enumerate(PAYLOADS):
            user = self._user(world, payload, f"{number}@example.org")
            people.add_member(platform, actor, self.group, user.id)
            group = people.create_group(platform, actor, name=f"{payload}{number}", description=payload)
            people.add_member(platform, actor, group.id, self.user)
            principal = world.principal(admin.user)
            credentials.create_key(platform, principal, name=payload, scopes=None, expires_at=None)
        for begin in range(0, len(PAYLOADS), 4):
            with platform.database.transaction() as session:
                agent = " ".join(PAYLOADS[begin : begin + 4])
                credentials.begin_session(session, session.get_one(User, admin.user.id), Actor(), user_agent=agent)
        entries = [Wish(f"K{number}", "", Secret(payload)) for number, payload in enumerate(PAYLOADS)]
        self.environment = environments.create(
            platform,
            actor,
            name="hostile",
            description="".join(PAYLOADS)[:2000],
            entries=entries,
            sharing=Sharing([self.user], [self.group]),
        ).environment.id
        people.change_user(platform, world.root, admin.user.id, {"name": LONG})
        world.by_session("refused", user).ask("POST", "/console/groups", headers={"X-Correlation-Id": "<b>"})

    @staticmethod
    def _user(world: World, name: str, email: str) -> User:
        root = world.root
        return people.create_user(world.platform, root, email=email, name=name, role=Role.DEV, password=None).user


def pages_of(page: Page, path: str) -> Iterator[Response | None]:
    """A list from its first page to its last."""
    yield page.goto(path)
    while page.locator("[rel=next]").count():
        with page.expect_navigation() as navigated:
            page.locator("[rel=next]").first.click()
        yield navigated.value


def test_nothing_of_a_name_is_taken_for_more_than_text(new_window: Callable[..., Window], world: World) -> None:
    named = Named(world)
    assert len(PAYLOADS) >= 50
    window = new_window()
    page, seen = window.page, set()
    searched = quote("".join(PAYLOADS)[:1000])

    def look() -> None:
        assert page.evaluate(FOREIGN, OURS) == [], page.url
        assert window.said == [], page.url

    for path in (
        "/console/",
        "/console/account",
        "/console/people",
        f"/console/people?find={searched}",
        f"/console/people/{named.user}",
        "/console/groups",
        f"/console/groups/{named.group}?find=example",
        "/console/environments",
        f"/console/environments/{named.environment}?find=example",
        f"/console/audit?actor={quote(LONG)}&action={quote(LONG)}&resource={quote(LONG)}&outcome={quote(LONG)}",
        "/console/audit",
    ):
        for response in pages_of(page, path):
            assert response is not None
            assert response.status in {200, 422}, path
            look()
            if path == "/console/people":
                seen |= set(page.locator("tbody th a").all_text_contents())
    # They are shown to the letter, but for a carriage return, which HTML reads as the end of a line.
    assert {one.replace("\r\n", "\n") for one in PAYLOADS} <= seen

    # What scripts put into a page is read in another way.
    page.goto("/console/people")
    page.get_by_role("searchbox").fill("@")
    page.get_by_role("searchbox").fill(PAYLOADS[0])
    expect(page.locator("#users-found tbody tr")).not_to_have_count(50)
    look()
    page.goto(f"/console/groups/{named.group}")
    page.get_by_role("searchbox").fill("<")
    expect(page.locator("#members-found li")).to_have_count(10)
    look()
    page.locator("#group-form-name").fill("<img src=x onerror=alert(1)>" * 3)
    page.locator("#group").get_by_role("button", name="Save").click()
    expect(page.locator("#group-form-name")).to_have_value("<img src=x onerror=alert(1)>" * 3)
    look()


def test_nothing_that_a_stranger_fills_in_is_taken_for_more_than_text(new_window: Callable[..., Window]) -> None:
    window = new_window(signed_in=False)
    page = window.page
    page.goto(f"/console/sign-in?next={quote(LONG)}")
    page.locator("form").evaluate("(form) => { form.noValidate = true }")
    email = page.get_by_label("E-mail address")
    email.evaluate("(one) => { one.type = 'text' }")
    email.fill(LONG.replace("\n", " "))
    page.get_by_label("Password").fill("guess")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("no enabled account")
    assert page.evaluate(FOREIGN, OURS) == []


def test_the_tests_would_see_what_got_through(new_window: Callable[..., Window]) -> None:
    window = new_window(signed_in=False)
    page = window.page
    page.goto("/console/sign-in")
    page.evaluate("document.querySelector('main').innerHTML += '<img src=/x onerror=alert(1)>'")
    assert page.evaluate(FOREIGN, OURS) == ["img", "onerror"]
    # The policy keeps it from running, and says so.
    page.wait_for_load_state("networkidle")
    assert any("script-src-attr" in one for one in window.said)
    window.said.clear()
