"""What tests of environments have in common."""

from typing import Any

from flask.testing import FlaskClient

#: Found nowhere but where it was put.
SECRET = "kiln-never-shows-this"


def entry(key: str, value: str | None = None, *, secret: bool | None = None) -> dict[str, Any]:
    """An entry as it is sent."""
    sent: dict[str, Any] = {"key": key}
    return sent | ({} if value is None else {"value": value}) | ({} if secret is None else {"secret": secret})


def created(client: FlaskClient, *entries: dict[str, Any], name: str = "production", **members: Any) -> dict[str, Any]:
    """An environment that was just made."""
    response = client.post("/environments", json={"name": name, "entries": list(entries)} | members)
    assert response.status_code == 201, response.text
    body: dict[str, Any] = response.get_json()
    return body


def patched(client: FlaskClient, environment: dict[str, Any], **body: Any) -> dict[str, Any]:
    """An environment of which some entries have just changed."""
    response = client.patch(f"/environments/{environment['id']}/entries", json=body)
    assert response.status_code == 200, response.text
    after: dict[str, Any] = response.get_json()
    return after
