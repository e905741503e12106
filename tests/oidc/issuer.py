"""An issuer that answers what a test tells it to: rightly, until told otherwise."""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jws
from joserfc.jwk import ECKey, Key, OKPKey, RSAKey

from tests.oidc.serving import Served

CLIENT_ID = "kiln"
CLIENT_SECRET = "a secret: of the client's/+"

#: Both as a form has them, joined by a colon (RFC 6749, section 2.3.1).
BASIC = f"Basic {base64.b64encode(b'kiln:a+secret%3A+of+the+client%27s%2F%2B').decode()}"

Claims = dict[str, Any]


@cache
def key(kid: str, kind: str = "RSA") -> Key:
    """A key that can sign, the same for all tests; making one takes a tenth of a second."""
    parameters: Any = {"kid": kid, "use": "sig"}
    match kind:
        case "RSA":
            return RSAKey.generate_key(2048, parameters)
        case "EC":
            return ECKey.generate_key("P-256", parameters)
        case _:
            return OKPKey.generate_key("Ed25519", parameters)


class Signing(jws.JWSRegistry):
    """Signs with whatever it is told to."""

    def get_alg(self, name: str) -> Any:
        """Any algorithm at all."""
        return self.algorithms[name]


def signed(header: dict[str, Any], claims: Any, by: Key | None) -> str:
    """A token with this header."""
    payload = claims if isinstance(claims, str) else json.dumps(claims)
    return jws.serialize_compact(header, payload, by, registry=Signing(strict_check_header=False))


@dataclass
class Answered:
    """An answer of HTTP."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


@dataclass
class Granted:
    """What belongs to a code: what the browser was sent with."""

    nonce: str
    challenge: str
    redirect_uri: str


class Issuer(Served):
    """Serves discovery, keys, tokens and userinfo on loopback. `metadata`, `claims` and `header` are laid over what is
    right (None takes a member out); `answers` has whole answers, by path.
    """

    def __init__(self) -> None:
        server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        server.daemon_threads = True
        super().__init__(server)
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.reset()

    def reset(self) -> None:
        """Do as it should again."""
        self.metadata: dict[str, Any] = {}
        self.claims: Claims = {}
        self.header: dict[str, Any] = {}
        self.userinfo: Claims = {}
        self.answers: dict[str, Answered] = {}
        self.keys: list[Key] = [key("one")]
        self.signing: Key = key("one")
        self.sign: Callable[[dict[str, Any], Claims], str] = lambda header, claims: signed(header, claims, self.signing)
        self.granted: dict[str, Granted] = {}
        self.asked: list[str] = []

    def authorize(self, url: str) -> dict[str, str]:
        """Somebody signs in there: what their browser brings back."""
        asked = {name: value for name, (value,) in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        code = secrets.token_urlsafe(16)
        self.granted[code] = Granted(asked["nonce"], asked["code_challenge"], asked["redirect_uri"])
        return {"code": code, "state": asked["state"], "iss": self.url}

    def answer(self, path: str, headers: Any, body: str) -> Answered:
        """What it answers."""
        self.asked.append(path)
        if path in self.answers:
            return self.answers[path]
        match path:
            case "/.well-known/openid-configuration":
                return Answered(_laid(self._described(), self.metadata))
            case "/keys":
                return Answered({"keys": [one.as_dict(private=False) for one in self.keys]})
            case "/token":
                return self._token(headers, parse_qs(body))
            case "/userinfo":
                return Answered({"sub": self.claims.get("sub", "ada")} | self.userinfo)
            case _:
                return Answered({"error": "nothing here"}, 404)

    def _described(self) -> dict[str, Any]:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _token(self, headers: Any, form: dict[str, list[str]]) -> Answered:
        is_known = headers["Authorization"] == BASIC or form.get("client_secret") == [CLIENT_SECRET]
        granted = self.granted.pop(form["code"][0], None)
        verifier = form["code_verifier"][0].encode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).rstrip(b"=").decode()
        if not is_known:
            return Answered({"error": "invalid_client"}, 401)
        if granted is None or challenge != granted.challenge or form["redirect_uri"] != [granted.redirect_uri]:
            return Answered({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims: Claims = {
            "iss": self.url,
            "sub": "ada",
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "nonce": granted.nonce,
            "name": "Ada",
            "email": "Ada@example.org",
            "email_verified": True,
        }
        header = _laid({"alg": "RS256", "kid": self.signing.kid}, self.header)
        token = self.sign(header, _laid(claims, self.claims))
        return Answered({"id_token": token, "access_token": "an access token", "token_type": "Bearer"})


def _laid(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (under | over).items() if value is not None}


def _handler(issuer: Issuer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer("")

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

        def _answer(self, body: str) -> None:
            answered = issuer.answer(urlsplit(self.path).path, self.headers, body)
            content = answered.body if isinstance(answered.body, bytes) else json.dumps(answered.body).encode()
            self.send_response(answered.status)
            for name, value in ({"Content-Length": str(len(content))} | answered.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
