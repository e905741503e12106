"""A provider made of Authlib's own server: it holds to the standards by itself, and asks for PKCE, the client's secret
and the redirect URI as they were registered.
"""

from dataclasses import dataclass
from typing import Any

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.oauth2.rfc6749 import AuthorizationCodeMixin, ClientMixin
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc9207 import IssuerParameter
from authlib.oidc.core import OpenIDCode, UserInfo
from flask import Flask, jsonify, request
from werkzeug.serving import make_server

from tests.oidc.browsing import BASE
from tests.oidc.issuer import key
from tests.oidc.serving import Served

CLIENT_ID, CLIENT_SECRET = "kiln", "secret-of-the-client"
REDIRECT_URI = f"{BASE}/oidc/acme/callback"
SUBJECT = "248289761001"


class RegisteredClient(ClientMixin):  # type: ignore[misc]
    """This installation, as the provider knows it."""

    client_id = CLIENT_ID

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_default_redirect_uri(self) -> str:
        return REDIRECT_URI

    def get_allowed_scope(self, scope: str) -> str:
        return scope

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return redirect_uri == REDIRECT_URI

    def check_client_secret(self, client_secret: str) -> bool:
        return client_secret == CLIENT_SECRET

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "client_secret_basic"

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type == "authorization_code"


@dataclass
class Code(AuthorizationCodeMixin):  # type: ignore[misc]
    """A code that was given."""

    redirect_uri: str
    scope: str
    nonce: str
    code_challenge: str
    code_challenge_method: str

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope

    def get_nonce(self) -> str:
        return self.nonce

    def get_auth_time(self) -> None:
        return None

    def get_acr(self) -> None:
        return None

    def get_amr(self) -> None:
        return None


CODES: dict[str, Code] = {}


class Grant(AuthorizationCodeGrant):  # type: ignore[misc]
    """Codes, each good for once."""

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)

    def save_authorization_code(self, code: str, asked: Any) -> None:
        sent = asked.payload.data
        CODES[code] = Code(
            asked.payload.redirect_uri,
            asked.payload.scope,
            sent["nonce"],
            sent["code_challenge"],
            sent["code_challenge_method"],
        )

    def query_authorization_code(self, code: str, client: Any) -> Code | None:
        return CODES.get(code)

    def delete_authorization_code(self, authorization_code: Code) -> None:
        CODES.clear()

    def authenticate_user(self, authorization_code: Code) -> str:
        return SUBJECT


class Identity(OpenIDCode):  # type: ignore[misc]
    """ID tokens; what scopes ask for is at the userinfo endpoint."""

    def __init__(self, issuer: str) -> None:
        super().__init__(require_nonce=True)
        self.issuer = issuer

    def exists_nonce(self, nonce: str, asked: Any) -> bool:
        return any(code.nonce == nonce for code in CODES.values())

    def resolve_client_private_key(self, client: Any) -> Any:
        return key("one")

    def get_client_algorithm(self, client: Any) -> str:
        return "RS256"

    def get_encode_header(self, client: Any) -> dict[str, str]:
        return {"alg": "RS256", "kid": "one"}

    def get_client_claims(self, client: Any) -> dict[str, str]:
        return {"iss": self.issuer}

    def generate_user_info(self, user: str, scope: str) -> Any:
        return UserInfo(sub=user)


class Named(IssuerParameter):  # type: ignore[misc]
    """Its issuer in each answer."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer

    def get_issuer(self) -> str:
        return self.issuer


class Provider(Served):
    """Serves it on loopback, in a thread."""

    def __init__(self) -> None:
        self.app = Flask("provider")
        server = make_server("127.0.0.1", 0, self.app, threaded=True)
        super().__init__(server)
        self.issuer = f"http://127.0.0.1:{server.port}"
        self._serve()

    def _serve(self) -> None:
        server = AuthorizationServer(self.app, lambda _client_id: RegisteredClient(), lambda _token, _request: None)
        server.register_grant(Grant, [Identity(self.issuer), CodeChallenge(required=True)])
        server.register_extension(Named(self.issuer))

        @self.app.get("/.well-known/openid-configuration")
        def described() -> Any:
            return jsonify(
                issuer=self.issuer,
                authorization_endpoint=f"{self.issuer}/authorize",
                token_endpoint=f"{self.issuer}/token",
                jwks_uri=f"{self.issuer}/keys",
                userinfo_endpoint=f"{self.issuer}/userinfo",
                authorization_response_iss_parameter_supported=True,
            )

        @self.app.get("/keys")
        def keys() -> Any:
            return jsonify(keys=[key("one").as_dict(private=False)])

        @self.app.get("/authorize")
        def authorize() -> Any:
            """Whoever comes is signed in here, and agrees."""
            return server.create_authorization_response(grant_user=SUBJECT, grant=server.get_consent_grant(SUBJECT))

        @self.app.post("/token")
        def token() -> Any:
            return server.create_token_response()

        @self.app.get("/userinfo")
        def userinfo() -> Any:
            assert request.headers["Authorization"].startswith("Bearer ")
            return jsonify(sub=SUBJECT, email="jane@example.org", email_verified=True, name="Jane Doe")
