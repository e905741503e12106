"""The document is valid, and the API does what the document says, whatever is sent."""

from typing import Any

import pytest
import schemathesis
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import sampled_from
from openapi_spec_validator import validate
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from app.factory import create_app
from app.rules import Role
from app.settings import load_settings
from tests.accounts.world import World
from tests.api.answers import registered_ready
from tests.workbench import Workbench

BEYOND_THE_SCHEMA = {
    "schedule_refused",
    "unknown_reference",
    "password_refused",
    "wrong_password",
    "expiry_refused",
    "entry_refused",
}


def operations() -> list[tuple[str, str]]:
    """Every path and method of the document; making it needs no database."""
    app = create_app(
        load_settings(
            {
                "DATABASE_URL": "postgresql://nobody@/none",
                "KILN_SECRET_KEY": "x" * 32,
                "KILN_MASTER_KEY": "A" * 43 + "=",
            }
        )
    )
    paths: dict[str, dict[str, Any]] = app.extensions["kiln.api"].spec.to_dict()["paths"]
    methods = {"get", "put", "post", "delete", "patch"}
    return [(path, method) for path, item in paths.items() for method in item if method in methods]


def test_the_document_is_valid_openapi_3_1(client: FlaskClient) -> None:
    document = client.get("/openapi.json").get_json()
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_the_browsable_document_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    page = client.get("/docs").text
    assert "://" not in page
    for name in ("swagger-ui-bundle.js", "start.js", "swagger-ui.css"):
        assert f"/static/swagger/{name}" in page
        with client.get(f"/static/swagger/{name}") as response:
            assert response.status_code == 200


@pytest.mark.parametrize(("path", "method"), operations())
def test_every_operation_answers_as_documented(
    app: Flask, client: FlaskClient, workbench: Workbench, path: str, method: str
) -> None:
    registered_ready(client, workbench)
    world = World(app)
    keys = [world.key(world.user(role))[1] for role in (Role.ADMIN, Role.DEV)]
    document = client.get("/openapi.json").get_json()
    # Of the two ways in, the check of credentials spoils one and leaves the other as it is: cookies are for the matrix.
    document["security"] = [{"apiKey": []}]
    schema = schemathesis.openapi.from_dict(document)
    schema.app = app
    let_in: set[str] = set()
    strategy = schema[path][method.upper()].as_strategy()

    @given(case=strategy, key=sampled_from(keys))
    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
    def answers_as_documented(case: schemathesis.Case, key: str) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        response = case.call(headers=headers)
        # What a schema cannot say: which rows there are, what time it is, and which passwords are known.
        refused = response.status_code == 422 and response.json()["code"] in BEYOND_THE_SCHEMA
        # Nor who may do what: a developer is refused what is for administrators.
        refused |= response.status_code == 403 and response.json()["code"] == "forbidden"
        excluded = [positive_data_acceptance] if refused else []
        # Without its key, and with another, one of an operation's answers is asked for again.
        case.validate_response(response, headers=headers, excluded_checks=[*excluded, *([ignored_auth] * bool(let_in))])
        if response.status_code < 300:
            let_in.add(key)

    answers_as_documented()
