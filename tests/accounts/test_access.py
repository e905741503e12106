"""The one rule of access, alone and as the database has it, against a model that is as simple as it can be."""

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from app.accounts import domain
from app.accounts.domain import Principal, can_access
from app.accounts.sharing import viewer, visible
from app.audit.domain import Actor
from app.platform import Platform
from app.rules import Role

PEOPLE, GROUPS = [UUID(int=n) for n in range(1, 4)], [UUID(int=n) for n in range(11, 14)]
Rule = Callable[[Principal, Any], bool]


@dataclass(frozen=True)
class Thing:
    """Something shared."""

    allowed_users: list[UUID]
    allowed_groups: list[UUID]


def principal(role: Role, user_id: UUID, groups: frozenset[UUID]) -> Principal:
    return Principal(user_id, "a@example.org", "A", role, groups, Actor())


PRINCIPALS = st.builds(
    principal, st.sampled_from(Role), st.sampled_from(PEOPLE), st.frozensets(st.sampled_from(GROUPS), max_size=3)
)
THINGS = st.builds(
    Thing,
    st.lists(st.sampled_from(PEOPLE), max_size=3, unique=True),
    st.lists(st.sampled_from(GROUPS), max_size=3, unique=True),
)


def naive(user: Principal, thing: Thing) -> bool:
    """The roadmap's words, another way round."""
    everybody = len(thing.allowed_users) + len(thing.allowed_groups) == 0
    named = {user.user_id, *user.groups} & {*thing.allowed_users, *thing.allowed_groups}
    return user.role == Role.ADMIN or everybody or len(named) > 0


@given(PRINCIPALS, THINGS)
@settings(max_examples=500)
def test_access_is_what_the_roadmap_says(user: Principal, thing: Thing) -> None:
    assert can_access(user, thing) == naive(user, thing)


def test_the_database_decides_alike(platform: Platform) -> None:
    thing_of_parameters = "(SELECT %(users)s::uuid[], %(groups)s::uuid[]) AS thing (allowed_users, allowed_groups)"
    statement = f"SELECT {visible('thing')} FROM {thing_of_parameters}"  # noqa: S608 - both are ours

    with platform.database.statement() as connection:

        @given(PRINCIPALS, THINGS)
        @settings(max_examples=500, deadline=None, suppress_health_check=list(HealthCheck))
        def decides_alike(user: Principal, thing: Thing) -> None:
            parameters = viewer(user) | {"users": thing.allowed_users, "groups": thing.allowed_groups}
            assert connection.exec_driver_sql(statement, parameters).scalar_one() == can_access(user, thing)

        decides_alike()
        connection.execute(text("SELECT 1"))


class Flips(ast.NodeTransformer):
    """Changes one place of a program: the `at`th that can be changed. Counts them."""

    def __init__(self, at: int) -> None:
        self.at, self.count = at, 0

    def _here(self) -> bool:
        self.count += 1
        return self.count - 1 == self.at

    def visit_BoolOp(self, node: ast.BoolOp) -> ast.AST:
        self.generic_visit(node)
        if self._here():
            node.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        return node

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        self.generic_visit(node)
        return node.operand if isinstance(node.op, ast.Not) and self._here() else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        self.generic_visit(node)
        if self._here():
            opposite = {ast.Is: ast.IsNot, ast.In: ast.NotIn}
            node.ops = [opposite[type(op)]() for op in node.ops]
        return node

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.Constant(not node.value) if isinstance(node.value, bool) and self._here() else node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "any" and self._here():
            node.func = ast.Name("all", ast.Load())
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        swapped = {"allowed_users": "allowed_groups", "allowed_groups": "allowed_users", "ADMIN": "DEV"}
        if node.attr in swapped and self._here():
            node.attr = swapped[node.attr]
        return node


def mutants() -> Iterator[tuple[str, Rule]]:
    source = inspect.getsource(can_access)
    at = 0
    while True:
        flips = Flips(at)
        tree = ast.fix_missing_locations(flips.visit(ast.parse(source)))
        if flips.count <= at:
            return
        names = vars(domain).copy()
        exec(compile(tree, "mutant", "exec"), names)  # noqa: S102 - our own function, changed in one place
        yield ast.unparse(tree), names["can_access"]
        at += 1


MUTANTS = list(mutants())


def test_there_are_mutants_of_every_part() -> None:
    assert len(MUTANTS) >= 14


@pytest.mark.parametrize("mutant", MUTANTS, ids=range(len(MUTANTS)))
def test_no_change_of_the_rule_goes_unseen(mutant: tuple[str, Rule]) -> None:
    """Must fail: each operator, one after the other, turned round."""
    text_of_it, rule = mutant
    differs = [
        (user, thing)
        for role in Role
        for groups in (frozenset[UUID](), frozenset(GROUPS[:1]), frozenset(GROUPS[:2]))
        for user in [principal(role, PEOPLE[0], groups)]
        for users in ([], PEOPLE[:1], PEOPLE[1:2])
        for shared in ([], GROUPS[:1], GROUPS[2:])
        for thing in [Thing(users, shared)]
        if rule(user, thing) != naive(user, thing)
    ]
    assert differs, text_of_it
