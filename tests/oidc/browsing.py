"""A browser on its way to a provider and back."""

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from tests.conftest import PASSWORD
from tests.oidc.issuer import Issuer

BASE = "http://127.0.0.1:8000"
HOST = "127.0.0.1"


class Browser:
    """One that has no session yet."""

    def __init__(self, app: Flask, address: str = HOST) -> None:
        self.client = app.test_client()
        self.client.environ_base["REMOTE_ADDR"] = address
        self.csrf = ""

    def get(self, path: str, **query: Any) -> TestResponse:
        """Look at a page."""
        return self.client.get(path, query_string=query or None, base_url=BASE)

    def post(self, path: str, **fields: Any) -> TestResponse:
        """Send a form."""
        return self.client.post(path, data=fields | {"csrfToken": self.csrf}, base_url=BASE)

    def sign_in(self, email: str = "admin@localhost") -> None:
        """Sign in with a password."""
        response = self.client.post("/sessions", json={"email": email, "password": PASSWORD}, base_url=BASE)
        self.csrf = response.get_json()["csrfToken"]

    def cookie(self, name: str) -> str | None:
        """What it keeps."""
        found = self.client.get_cookie(name, domain=HOST)
        return None if found is None else found.value

    def leave(self, provider: str = "acme", **query: str) -> str:
        """Go to a provider: the address that it is sent to."""
        response = self.get(f"/oidc/{provider}/sign-in", **query)
        assert response.status_code == 302, response.text
        return response.headers["Location"]

    def leave_to_link(self, provider: str = "acme") -> str:
        """The same, from the account's page."""
        response = self.post(f"/console/account/identities/{provider}/link")
        assert response.status_code == 200, response.text
        return response.headers["Refresh"].removeprefix("0; url=")

    def return_with(self, answer: dict[str, Any], provider: str = "acme") -> TestResponse:
        """Come back."""
        return self.get(f"/oidc/{provider}/callback", **answer)

    def sign_in_at(self, issuer: Issuer, provider: str = "acme", **query: str) -> TestResponse:
        """The whole way."""
        return self.return_with(issuer.authorize(self.leave(provider, **query)), provider)

    def me(self) -> Any:
        """Who it is."""
        return self.get("/me").get_json()
