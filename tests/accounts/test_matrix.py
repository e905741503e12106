"""Every route and method, asked by everybody, of everything: each cell is written down before it is tried."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import pytest
from flask import Flask

from app.factory import create_app
from app.rules import Role, Scope
from app.settings import load_settings
from tests.accounts.world import READING, Asker, World, expired
from tests.programs import ECHO

NOBODY: Final = {"anonymous", "disabled", "expired session", "revoked key"}
ADMINS: Final = {"administrator"}

CORRELATION: Final = {"X-Correlation-Id": "matrix"}


@dataclass(frozen=True)
class Row:
    """What a route asks: a scope of keys, to be an administrator, to be able to see what is shared, to own it.

    `body` is one that would do, and `made` makes what its last id names, for each cell anew: being let in may end it.
    """

    scope: Scope | None
    admin: bool = False
    is_open: bool = False
    of_function: bool = False
    of_environment: bool = False
    owned: bool = False
    own: bool = False
    """What it names is only there for whom it belongs to, and for administrators."""
    body: Any = None
    made: Callable[[World, Asker], UUID] | None = None
    has_token: bool = True
    needs_session: bool = False
    by_key: int = 404
    """What whoever has a key alone is answered where it takes a session."""
    is_page: bool = False
    is_silent: bool = False
    """What is asked here changes nothing, so that the audit has nothing of it."""
    is_absent: bool = False
    """It names a provider, of which there are none in these settings, or a dead letter, of which there are none."""

    @property
    def of_shared(self) -> bool:
        """Whether it names something that is shared."""
        return self.of_function or self.of_environment


def _user(world: World, _asker: Asker) -> UUID:
    return world.user().id


def _group(world: World, _asker: Asker) -> UUID:
    return world.group()


def _session(world: World, asker: Asker) -> UUID:
    return world.session(asker.user or world.user())[0]


def _identity(world: World, asker: Asker) -> UUID:
    user = asker.user or world.user()
    # A password, so that it is not the last way in.
    world.sql("UPDATE users SET password = '' WHERE id = %s", user.id)
    return world.identity(user)


def _key(world: World, asker: Asker) -> UUID:
    return world.key(asker.user or world.user())[0]


FUNCTION: Final = {"name": "made-by-the-matrix", "language": "wat", "source": ECHO}

ROWS: Final[dict[str, Row]] = {
    "GET /": Row(None, is_open=True),
    "GET /health": Row(None, is_open=True),
    "GET /livez": Row(None, is_open=True),
    "GET /readyz": Row(None, is_open=True),
    "POST /sessions": Row(None, is_open=True, body={"email": "nobody@example.org", "password": "wrong"}),
    "GET /docs": Row(None, is_page=True),
    "GET /docs/problems": Row(None),
    "GET /openapi.json": Row(None),
    "GET /static/<path:filename>": Row(None),
    "GET /me": Row(None),
    "PATCH /me": Row(Scope.ACCOUNT_WRITE, body={"name": "Somebody else"}),
    "GET /users": Row(Scope.PEOPLE_READ),
    "POST /users": Row(Scope.PEOPLE_WRITE, admin=True, body={"email": "new@example.org", "name": "New", "role": "DEV"}),
    "GET /users/<id:user_id>": Row(Scope.PEOPLE_READ, made=_user),
    "PATCH /users/<id:user_id>": Row(Scope.PEOPLE_WRITE, admin=True, body={"name": "Other"}, made=_user),
    "DELETE /users/<id:user_id>": Row(Scope.PEOPLE_WRITE, admin=True, made=_user),
    "GET /groups": Row(Scope.PEOPLE_READ),
    "POST /groups": Row(Scope.PEOPLE_WRITE, admin=True, body={"name": "New"}),
    "GET /groups/<id:group_id>": Row(Scope.PEOPLE_READ, made=_group),
    "PATCH /groups/<id:group_id>": Row(Scope.PEOPLE_WRITE, admin=True, body={"description": "x"}, made=_group),
    "DELETE /groups/<id:group_id>": Row(Scope.PEOPLE_WRITE, admin=True, made=_group),
    "GET /groups/<id:group_id>/members": Row(Scope.PEOPLE_READ, made=_group),
    "POST /groups/<id:group_id>/members": Row(
        Scope.PEOPLE_WRITE, admin=True, body={"userId": str(uuid4())}, made=_group
    ),
    "DELETE /groups/<id:group_id>/members/<id:user_id>": Row(Scope.PEOPLE_WRITE, admin=True),
    "GET /sessions": Row(Scope.ACCOUNT_READ),
    "DELETE /sessions/current": Row(Scope.ACCOUNT_WRITE, needs_session=True),
    "DELETE /sessions/<id:session_id>": Row(Scope.ACCOUNT_WRITE, own=True, made=_session),
    "GET /oidc/providers": Row(None, is_open=True),
    "GET /oidc/<string:provider>/sign-in": Row(None, is_open=True, is_absent=True),
    "GET /oidc/<string:provider>/callback": Row(None, is_open=True, is_absent=True),
    "GET /identities": Row(Scope.ACCOUNT_READ),
    "POST /identities": Row(
        Scope.PEOPLE_WRITE,
        admin=True,
        body={"userId": str(uuid4()), "issuer": "https://id.example.org", "subject": "x"},
    ),
    "DELETE /identities/<id:identity_id>": Row(Scope.ACCOUNT_WRITE, own=True, made=_identity),
    "GET /api-keys": Row(Scope.ACCOUNT_READ),
    "POST /api-keys": Row(Scope.ACCOUNT_WRITE, body={"name": "New"}),
    "GET /api-keys/<id:key_id>": Row(Scope.ACCOUNT_READ, own=True, made=_key),
    "DELETE /api-keys/<id:key_id>": Row(Scope.ACCOUNT_WRITE, own=True, made=_key),
    "POST /api-keys/<id:key_id>/rotate": Row(Scope.ACCOUNT_WRITE, own=True, body={}, made=_key),
    "GET /audit-events": Row(Scope.AUDIT_READ, admin=True),
    "GET /functions": Row(Scope.FUNCTIONS_READ),
    "POST /functions": Row(Scope.FUNCTIONS_WRITE, body=FUNCTION),
    "GET /functions/<id:function_id>": Row(Scope.FUNCTIONS_READ, of_function=True),
    "PUT /functions/<id:function_id>": Row(
        Scope.FUNCTIONS_WRITE, of_function=True, owned=True, body={"description": "x"}
    ),
    "DELETE /functions/<id:function_id>": Row(Scope.FUNCTIONS_WRITE, of_function=True, owned=True),
    "POST /functions/<id:function_id>/execute": Row(Scope.FUNCTIONS_EXECUTE, of_function=True, body={}),
    "POST /functions/<id:function_id>/execute-batch": Row(
        Scope.FUNCTIONS_EXECUTE, of_function=True, body={"inputs": [1]}
    ),
    "GET /functions/<id:function_id>/executions": Row(Scope.EXECUTIONS_READ, of_function=True),
    "GET /functions/<id:function_id>/versions": Row(Scope.FUNCTIONS_READ, of_function=True),
    "GET /functions/<id:function_id>/versions/<number:number>": Row(Scope.FUNCTIONS_READ, of_function=True),
    "POST /functions/<id:function_id>/versions/<number:number>/verify": Row(
        Scope.FUNCTIONS_WRITE, of_function=True, owned=True
    ),
    "GET /functions/<id:function_id>/versions/<number:number>/diff": Row(Scope.FUNCTIONS_READ, of_function=True),
    "POST /functions/<id:function_id>/versions/<number:number>/activate": Row(
        Scope.FUNCTIONS_WRITE, of_function=True, owned=True
    ),
    "GET /functions/<id:function_id>/aliases": Row(Scope.FUNCTIONS_READ, of_function=True),
    "GET /functions/<id:function_id>/aliases/<label:name>": Row(Scope.FUNCTIONS_READ, of_function=True),
    "PUT /functions/<id:function_id>/aliases/<label:name>": Row(
        Scope.FUNCTIONS_WRITE, of_function=True, owned=True, body={"version": 1}
    ),
    "DELETE /functions/<id:function_id>/aliases/<label:name>": Row(Scope.FUNCTIONS_WRITE, of_function=True, owned=True),
    "GET /languages": Row(Scope.FUNCTIONS_READ),
    "GET /limits": Row(Scope.EXECUTIONS_READ),
    "GET /executions": Row(Scope.EXECUTIONS_READ),
    "GET /executions/<id:execution_id>": Row(Scope.EXECUTIONS_READ, of_function=True),
    "POST /executions/replay": Row(Scope.FUNCTIONS_EXECUTE, body={"filter": {"correlationId": "nobody's"}}),
    "POST /executions/cancel": Row(
        Scope.EXECUTIONS_WRITE, body={"filter": {"correlationId": "nobody's"}}, is_silent=True
    ),
    "GET /executions/<id:execution_id>/logs": Row(Scope.EXECUTIONS_READ, of_function=True),
    "GET /executions/<id:execution_id>/attempts": Row(Scope.EXECUTIONS_READ, of_function=True),
    "POST /executions/<id:execution_id>/cancel": Row(Scope.EXECUTIONS_WRITE, of_function=True, owned=True),
    "POST /executions/<id:execution_id>/replay": Row(Scope.FUNCTIONS_EXECUTE, of_function=True, body={}),
    "GET /environments": Row(Scope.ENVIRONMENTS_READ),
    "POST /environments": Row(Scope.ENVIRONMENTS_WRITE, admin=True, body={"name": "made-by-the-matrix"}),
    "GET /environments/<id:environment_id>": Row(Scope.ENVIRONMENTS_READ, of_environment=True),
    "PUT /environments/<id:environment_id>": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, of_environment=True, body={"description": "x"}
    ),
    "DELETE /environments/<id:environment_id>": Row(Scope.ENVIRONMENTS_WRITE, admin=True, of_environment=True),
    "PATCH /environments/<id:environment_id>/entries": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, of_environment=True, body={"set": [{"key": "KEY", "value": "x"}]}
    ),
    "GET /operations/dead-letters": Row(Scope.OPERATIONS_READ, admin=True),
    "DELETE /operations/dead-letters": Row(Scope.OPERATIONS_WRITE, admin=True, is_silent=True),
    "POST /operations/dead-letters/redrive": Row(Scope.OPERATIONS_WRITE, admin=True, body={}, is_silent=True),
    "GET /operations/dead-letters/<long:letter_id>": Row(Scope.OPERATIONS_READ, admin=True, is_absent=True),
    "DELETE /operations/dead-letters/<long:letter_id>": Row(Scope.OPERATIONS_WRITE, admin=True, is_absent=True),
    "POST /operations/dead-letters/<long:letter_id>/redrive": Row(Scope.OPERATIONS_WRITE, admin=True, is_absent=True),
    "GET /operations/queues": Row(Scope.OPERATIONS_READ, admin=True),
    "GET /operations/workers": Row(Scope.OPERATIONS_READ, admin=True),
    "GET /operations/events": Row(Scope.OPERATIONS_READ, admin=True),
    "GET /operations/queues/<string:name>/messages": Row(Scope.OPERATIONS_READ, admin=True),
    "GET /console/static/<path:filename>": Row(None, is_open=True),
    "GET /console/sign-in": Row(None, is_open=True),
    "POST /console/sign-in": Row(None, is_open=True, is_page=True, body={"email": "nobody@example.org"}),
    "POST /console/sign-out": Row(None, is_page=True, needs_session=True),
    "GET /console/": Row(None, is_page=True),
    "GET /console/account": Row(Scope.ACCOUNT_READ, is_page=True),
    "POST /console/account/name": Row(Scope.ACCOUNT_WRITE, is_page=True, body={"name": "Somebody else"}),
    "POST /console/account/password": Row(
        Scope.ACCOUNT_WRITE, is_page=True, needs_session=True, by_key=403, body={"password": "short"}
    ),
    "POST /console/account/sessions/<id:session_id>/end": Row(
        Scope.ACCOUNT_WRITE, own=True, made=_session, is_page=True
    ),
    "POST /console/account/sessions/end-others": Row(Scope.ACCOUNT_WRITE, is_page=True, needs_session=True),
    "POST /console/account/keys": Row(Scope.ACCOUNT_WRITE, is_page=True, body={"name": "New"}),
    "POST /console/account/keys/<id:key_id>/revoke": Row(Scope.ACCOUNT_WRITE, own=True, made=_key, is_page=True),
    "POST /console/account/keys/<id:key_id>/rotate": Row(
        Scope.ACCOUNT_WRITE, own=True, made=_key, is_page=True, body={"overlapSeconds": "60"}
    ),
    "POST /console/account/identities/<string:provider>/link": Row(Scope.ACCOUNT_WRITE, is_page=True, is_absent=True),
    "POST /console/account/identities/<id:identity_id>/unlink": Row(
        Scope.ACCOUNT_WRITE, own=True, made=_identity, is_page=True
    ),
    "GET /console/people": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True),
    "POST /console/people": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True, body={"email": "new@example.org"}),
    "GET /console/people/<id:user_id>": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True, made=_user),
    "POST /console/people/<id:user_id>": Row(
        Scope.PEOPLE_WRITE, admin=True, made=_user, is_page=True, body={"name": "Other"}
    ),
    "POST /console/people/<id:user_id>/password": Row(
        Scope.PEOPLE_WRITE, admin=True, made=_user, is_page=True, body={"password": "a kiln for bricks"}
    ),
    "POST /console/people/<id:user_id>/delete": Row(Scope.PEOPLE_WRITE, admin=True, made=_user, is_page=True),
    "GET /console/groups": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True),
    "POST /console/groups": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True, body={"name": "New"}),
    "GET /console/groups/<id:group_id>": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True, made=_group),
    "POST /console/groups/<id:group_id>": Row(
        Scope.PEOPLE_WRITE, admin=True, is_page=True, made=_group, body={"name": "Other"}
    ),
    "POST /console/groups/<id:group_id>/delete": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True, made=_group),
    "POST /console/groups/<id:group_id>/members": Row(
        Scope.PEOPLE_WRITE, admin=True, is_page=True, made=_group, body={"userId": str(uuid4())}
    ),
    "POST /console/groups/<id:group_id>/members/<id:user_id>/remove": Row(Scope.PEOPLE_WRITE, admin=True, is_page=True),
    "GET /console/environments": Row(Scope.ENVIRONMENTS_READ, is_page=True),
    "POST /console/environments": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, is_page=True, body={"name": "made-by-the-matrix"}
    ),
    "GET /console/environments/<id:environment_id>": Row(Scope.ENVIRONMENTS_READ, is_page=True, of_environment=True),
    "POST /console/environments/<id:environment_id>": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, is_page=True, of_environment=True, body={"description": "x"}
    ),
    "POST /console/environments/<id:environment_id>/entries": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, is_page=True, of_environment=True, body={"key": "KEY", "value": "x"}
    ),
    "POST /console/environments/<id:environment_id>/entries/remove": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, is_page=True, of_environment=True, body={"key": "KEY"}
    ),
    "POST /console/environments/<id:environment_id>/sharing": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, is_page=True, of_environment=True, body={"addUser": str(uuid4())}
    ),
    "POST /console/environments/<id:environment_id>/delete": Row(
        Scope.ENVIRONMENTS_WRITE, admin=True, is_page=True, of_environment=True
    ),
    "GET /console/audit": Row(Scope.AUDIT_READ, admin=True, is_page=True),
    "GET /flower": Row(Scope.OPERATIONS_WRITE, admin=True, is_page=True),
    "POST /flower": Row(Scope.OPERATIONS_WRITE, admin=True, has_token=False),
    "GET /flower/<path:page>": Row(Scope.OPERATIONS_WRITE, admin=True, is_page=True),
    "POST /flower/<path:page>": Row(Scope.OPERATIONS_WRITE, admin=True, has_token=False),
}


def routes(app: Flask) -> Iterator[tuple[str, str]]:
    """Every method and path of the application."""
    for rule in app.url_map.iter_rules():
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            yield method, rule.rule


def _application() -> Flask:
    return create_app(
        load_settings(
            {
                "DATABASE_URL": "postgresql://nobody@/none",
                "KILN_SECRET_KEY": "x" * 32,
                "KILN_MASTER_KEY": "A" * 43 + "=",
            }
        )
    )


ROUTES = sorted(f"{method} {path}" for method, path in routes(_application()))


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    assert sorted(ROWS) == ROUTES


@dataclass
class Cast:
    """Everybody who asks, and the functions that they ask for."""

    world: World

    def __post_init__(self) -> None:
        world = self.world
        self._functions: dict[str, UUID] = {}
        self._environments: dict[str, UUID] = {}
        self.owner, self.member, self.other = (world.user() for _ in range(3))
        self.stranger, disabled, demoted = (world.user() for _ in range(3))
        self.group = world.group(self.member)
        readers, wrong = frozenset(READING), frozenset({Scope.ENVIRONMENTS_WRITE})
        gone, key = world.user(), None
        key, text = world.key(gone)
        world.sql("DELETE FROM api_keys WHERE id = %s", key)
        formerly = world.by_key("key of somebody demoted", self._promoted(demoted))
        world.sql("UPDATE users SET role = 'DEV' WHERE id = %s", demoted.id)
        off = world.by_key("disabled", disabled)
        world.sql("UPDATE users SET enabled = false WHERE id = %s", disabled.id)
        self.somebody = Asker("somebody else", world.app.test_client(), {}, world.user())
        self.askers = [
            Asker("anonymous", world.app.test_client(), {}),
            world.by_key("owner", self.owner),
            world.by_key("member", self.member),
            world.by_session("other", self.other),
            world.by_session("administrator", world.user(Role.ADMIN)),
            off,
            expired(world, world.by_session("expired session", world.user())),
            Asker("revoked key", world.app.test_client(), {"Authorization": f"Bearer {text}"}),
            world.by_key("wrong scope", self.owner, wrong),
            world.by_key("read-only key", self.owner, readers),
            world.by_session("cookie without token", self.owner, knows_token=False),
            formerly,
        ]

    def _promoted(self, user: Any) -> Any:
        self.world.sql("UPDATE users SET role = 'ADMIN' WHERE id = %s", user.id)
        return user

    def function(self, of: str) -> UUID:
        """A function: the owner's own, the group's, everybody's, or only another's."""
        if of not in self._functions:
            self._functions[of] = self.new_function(of)
        return self._functions[of]

    def new_function(self, of: str) -> UUID:
        """The same, made for nobody else."""
        owner = self.stranger if of == "other's" else self.owner
        return self.world.function(owner, **self._shared(of))

    def environment(self, of: str) -> UUID:
        """An environment that is shared in the same way."""
        if of not in self._environments:
            self._environments[of] = self.new_environment(of)
        return self._environments[of]

    def new_environment(self, of: str) -> UUID:
        """The same, made for nobody else."""
        return self.world.environment(**self._shared(of))

    def _shared(self, of: str) -> dict[str, list[UUID]]:
        shared: dict[str, dict[str, list[UUID]]] = {
            "own": {"users": [self.owner.id]},
            "group's": {"groups": [self.group]},
            "public": {},
            "other's": {"users": [self.stranger.id]},
        }
        return shared[of]

    def sees(self, asker: Asker, of: str) -> bool:
        """Whether a function or an environment is there for somebody, as the roadmap has it."""
        if asker.name in ADMINS or of == "public":
            return True
        return {"own": asker.user is self.owner, "group's": asker.user is self.member}.get(of, False)


LET_IN: Final = {200, 201, 202, 204, 303, 409, 422, 503}
OPEN: Final = {200, 302, 401, 429, 503}

SCOPES: Final = {"wrong scope": frozenset({Scope.ENVIRONMENTS_WRITE}), "read-only key": READING}
BY_SESSION: Final = {"other", "administrator", "cookie without token"}


def expected(row: Row, cast: Cast, asker: Asker, method: str, of: str) -> set[int]:
    """The statuses that a cell may have: the first reason to refuse it, in the order in which they are looked for. Of
    those who are let in, all that do not say that they were not.
    """
    is_admin, is_owner = asker.name in ADMINS, asker.user is cast.owner
    has_no_page = asker.name in BY_SESSION and (asker.name == "cookie without token" or not row.has_token)
    refusals = (
        # An address that nothing has, for nobody.
        (of == "malformed", 404),
        # Whoever looks at a page with nothing that lets them in is led to where they sign in.
        (row.is_page and method == "GET" and asker.name in {"anonymous", "expired session"}, 303),
        (not row.is_open and asker.name in NOBODY, 401),
        (not row.is_open and method != "GET" and has_no_page, 403),
        (row.scope is not None and row.scope not in SCOPES.get(asker.name, frozenset(Scope)), 403),
        (row.admin and not is_admin, 403),
        (row.needs_session and asker.name not in BY_SESSION, row.by_key),
        # Nobody, not even an administrator, gets another's key by rotating it.
        (row.own and of == "other's" and (not is_admin or row.body is not None), 404),
        (of == "absent" or (row.of_shared and not cast.sees(asker, of)), 404),
        (row.owned and not is_admin and not is_owner, 403),
        (row.is_absent, 404),
    )
    return next(({status} for applies, status in refusals if applies), OPEN if row.is_open else LET_IN)


def written(row: Row, method: str, of: str, status: int) -> list[str]:
    """What the audit has of a cell: each change that was made or refused, once. Executions are rows themselves."""
    if method == "GET" or of == "malformed" or status in {409, 422, 429, 503}:
        return []
    if status in {401, 403, 404}:
        return ["REFUSED"]
    return [] if row.scope is Scope.FUNCTIONS_EXECUTE or row.is_silent else ["DONE"]


def ids_of(row: Row, path: str) -> tuple[str, ...]:
    """Of which things a route is asked."""
    if row.of_shared:
        return ("own", "group's", "public", "other's", "absent", "malformed")
    if row.own:
        return ("own", "other's", "absent", "malformed")
    return ("own", "absent", "malformed") if "<id:" in path else ("",)


def filled(row: Row, method: str, path: str, cast: Cast, asker: Asker, of: str) -> str:
    """The path with an id in it."""
    named = "not-an-id" if of == "malformed" else str(uuid4())
    if of not in {"", "absent", "malformed"}:
        if row.of_function:
            # One for each who deletes or changes it: the same change once more would be none.
            function = cast.new_function(of) if method in {"DELETE", "PUT"} else cast.function(of)
            named = str(cast.world.execution(function) if "<id:execution_id>" in path else function)
            if "<label:name>" in path:
                cast.world.alias(function, "live")
        elif row.of_environment:
            named = str(cast.new_environment(of) if method == "DELETE" else cast.environment(of))
        elif row.made is not None:
            named = str(row.made(cast.world, cast.somebody if of == "other's" else asker))
    for variable in (
        "user_id",
        "group_id",
        "session_id",
        "identity_id",
        "key_id",
        "function_id",
        "execution_id",
        "environment_id",
    ):
        path = path.replace(f"<id:{variable}>", named)
    path = (
        path.replace("<number:number>", "1")
        .replace("<label:name>", "live")
        .replace("<long:letter_id>", "1")
        .replace("<string:name>", "execute")
        .replace("<string:provider>", "acme")
        .replace("<path:page>", "tasks")
    )
    file = "console.css" if path.startswith("/console") else "swagger/swagger-ui.css"
    return path.replace("<path:filename>", file)


@pytest.mark.parametrize("route", ROUTES)
def test_everybody_is_answered_as_the_matrix_says(world: World, route: str) -> None:
    cast, (method, path) = Cast(world), route.split(" ", 1)
    world.acts()
    row = ROWS[route]
    for asker in cast.askers:
        hidden: dict[str, bytes] = {}
        for of in ids_of(row, path):
            if row.made is None and of == "own" and "<id:" in path and not row.of_shared:
                continue
            address = filled(row, method, path, cast, asker, of)
            sent = {"data": row.body} if row.is_page else {"json": row.body}
            response = asker.ask(method, address, headers=CORRELATION, **sent)
            cell = f"{route} of {of or 'all'} by {asker.name}"
            wanted = expected(row, cast, asker, method, of)
            assert response.status_code in wanted, f"{cell}: {response.status_code}, not {wanted}: {response.text}"
            if response.status_code == 404 and not (row.is_page and of == "malformed"):
                hidden[of] = response.data
            assert world.acts() == written(row, method, of, response.status_code), cell
            response.close()
        # What must not be seen and what is not there are answered alike, to the byte.
        assert len(set(hidden.values())) <= 1, f"{route} by {asker.name}: {hidden}"
