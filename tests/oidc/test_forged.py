"""Whatever is not exactly as it should be lets nobody in, says so, and is written down."""

import base64
import hmac
import json
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from flask import Flask
from joserfc.jwk import OctKey, RSAKey
from werkzeug.test import TestResponse

from app.factory import create_app
from app.oidc import fetching
from app.oidc.client import clients
from app.settings import Settings, load_settings
from tests.oidc.browsing import Browser
from tests.oidc.conftest import with_providers
from tests.oidc.issuer import CLIENT_SECRET, Answered, Claims, Issuer, key, signed

Rows = Callable[..., list[Any]]
Header = dict[str, Any]

_addresses = count(1)

SERVERS: Final[list[Issuer]] = []


@pytest.fixture(scope="module")
def settings(new_database: Callable[[], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """One installation for all cases, with two providers."""
    home = tmp_path_factory.mktemp("home")
    with Issuer() as issuer, Issuer() as other:
        settings = load_settings({"DATABASE_URL": new_database(), "KILN_HOME": str(home)})
        SERVERS[:] = [issuer, other]
        yield with_providers(settings, Path(home), issuer, other)


@pytest.fixture(scope="module")
def shared_app(settings: Settings) -> Iterator[Flask]:
    """Its web application."""
    flask = create_app(settings)
    yield flask
    flask.extensions["kiln.waiters"].close()
    flask.extensions["kiln"].close()


class Case:
    """A sign-in that is about to go wrong: a browser from an address of its own, and what it brings back."""

    def __init__(self, app: Flask, rows: Rows, issuer: Issuer, other: Issuer) -> None:
        self.app, self.rows, self.issuer, self.other = app, rows, issuer, other
        self.browser = self.new_browser()
        self.answer: dict[str, Any] = {}
        self.provider = "acme"

    def new_browser(self) -> Browser:
        """Another one."""
        return Browser(self.app, f"192.0.2.{next(_addresses)}")

    def leave(self) -> None:
        """Go to the provider and sign in there."""
        self.answer = self.issuer.authorize(self.browser.leave())

    def come_back(self) -> TestResponse:
        """The answer to what the browser brings."""
        return self.browser.return_with(self.answer, self.provider)


@pytest.fixture
def case(shared_app: Flask, settings: Settings, rows: Rows) -> Case:
    """One of them; nothing is known of the providers yet."""
    for issuer in SERVERS:
        issuer.reset()
    shared_app.extensions["kiln.oidc"] = clients(settings)
    return Case(shared_app, rows, *SERVERS)


def state(rows: Rows) -> list[Any]:
    """Who is let in, and by what."""
    return rows(
        "SELECT (SELECT count(*) FROM sessions), (SELECT count(*) FROM tokens), (SELECT count(*) FROM identities), "
        "(SELECT count(*) FROM users), (SELECT count(*) FROM memberships)"
    )


def refusals(rows: Rows) -> list[Any]:
    """What was written of those who were not."""
    return rows("SELECT action, after, id FROM audit_events WHERE outcome = 'REFUSED' ORDER BY id")


def assert_refused(case: Case, act: Callable[[], TestResponse]) -> str:
    """The reason, after everything else was looked at."""
    before, written = state(case.rows), len(refusals(case.rows))
    response = act()
    assert response.status_code in {401, 503}, response.text
    assert response.mimetype == "text/html"
    assert "This could not be done" in response.text
    assert not any(one.startswith("kiln_session=") for one in response.headers.getlist("Set-Cookie"))
    assert state(case.rows) == before
    (row,) = refusals(case.rows)[written:]
    assert row[0] == "session.create"
    assert row[1]["provider"] in {"acme", "other"}
    brought = [str(case.answer[name]) for name in ("code", "state") if case.answer.get(name)]
    hidden = [CLIENT_SECRET, "an access token", *brought]
    for secret in hidden:
        assert secret not in response.text + json.dumps(row[1])
    reason: str = row[1]["reason"]
    return reason


def claims(**changes: Any) -> Callable[[Issuer], None]:
    """Claims that are not as they should be; None is left out."""
    return lambda issuer: issuer.claims.update(changes)


def header(**changes: Any) -> Callable[[Issuer], None]:
    """A header that is not as it should be."""
    return lambda issuer: issuer.header.update(changes)


def sign(how: Callable[[Header, Claims], str]) -> Callable[[Issuer], None]:
    """A token that is not made as it should be."""
    return lambda issuer: setattr(issuer, "sign", how)


def fixed(token: str) -> Callable[[Issuer], None]:
    """A token that is none."""
    return sign(lambda _header, _claims: token)


def _by_public_key(header: Header, claims: Claims) -> str:
    """The classic: the text of the public key as a secret that both know. The library would not sign with it."""
    public = key("one").as_pem(private=False)  # type: ignore[union-attr]
    signing = signed(header | {"alg": "HS256"}, claims, OctKey.generate_key()).rpartition(".")[0]
    return f"{signing}.{_encoded(hmac.digest(public, signing.encode(), 'sha256'))}"


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _with_key_set(issuer: Issuer) -> None:
    """A secret among the public keys."""
    secret = OctKey.import_key({"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXM", "kid": "shared"})
    issuer.answers["/keys"] = Answered({"keys": [secret.as_dict(private=True)]})
    issuer.sign = lambda header, claims: signed(header | {"alg": "HS256", "kid": "shared"}, claims, secret)


@cache
def weak_key() -> RSAKey:
    """A key of 1024 bits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return RSAKey.generate_key(1024)


def _with_weak_key(issuer: Issuer) -> None:
    """A key that somebody could have factored by now."""
    weak = weak_key()
    issuer.answers["/keys"] = Answered({"keys": [weak.as_dict(private=False, kid="weak")]})
    issuer.sign = lambda header, claims: signed(header | {"kid": "weak"}, claims, weak)


def _with_encryption_key(issuer: Issuer) -> None:
    """A key of the provider's that is for something else."""
    issuer.answers["/keys"] = Answered({"keys": [key("one").as_dict(private=False, use="enc")]})


def _with_key_of_other_algorithm(issuer: Issuer) -> None:
    issuer.answers["/keys"] = Answered({"keys": [key("one").as_dict(private=False, alg="PS256")]})


def _without_kid(issuer: Issuer) -> None:
    issuer.keys = [key("one"), key("two")]
    issuer.header = {"kid": None}


def _altered(header: Header, claims: Claims) -> str:
    head, _, signature = signed(header, claims, key("one")).split(".")
    payload = signed(header, claims | {"sub": "root"}, key("one")).split(".")[1]
    return f"{head}.{payload}.{signature}"


def _cut(header: Header, claims: Claims) -> str:
    return signed(header, claims, key("one")).rpartition(".")[0] + "."


def _with_own_key(header: Header, claims: Claims) -> str:
    own = key("attacker")
    return signed(header | {"kid": "attacker", "jwk": own.as_dict(private=False)}, claims, own)


def _with_own_key_set(issuer: Issuer) -> None:
    place = f"{issuer.url}/own-keys"
    issuer.sign = lambda header, claims: signed(header | {"kid": "attacker", "jku": place}, claims, key("attacker"))


FAR: Final = 4_000_000_000

TOKENS: Final[dict[str, tuple[str, Callable[[Issuer], None]]]] = {
    "issuer of somebody else": ("iss", claims(iss="https://elsewhere.example.org")),
    "issuer with a slash": ("iss", lambda issuer: issuer.claims.update(iss=f"{issuer.url}/")),
    "issuer in capitals": ("iss", lambda issuer: issuer.claims.update(iss=issuer.url.upper())),
    "issuers": ("iss", lambda issuer: issuer.claims.update(iss=[issuer.url])),
    "no issuer": ("iss", claims(iss=None)),
    "audience of somebody else": ("aud", claims(aud="accounting")),
    "audience that only begins like ours": ("aud", claims(aud="kiln2")),
    "audience within a list of others": ("aud", claims(aud=["accounting", "payroll"], azp="kiln")),
    "several audiences without the party that asked": ("azp", claims(aud=["kiln", "accounting"])),
    "several audiences, asked for by another party": ("azp", claims(aud=["kiln", "accounting"], azp="accounting")),
    "our audience, asked for by another party": ("azp", claims(azp="accounting")),
    "empty audience": ("aud", claims(aud=[])),
    "audience that is an object": ("aud", claims(aud={"kiln": True})),
    "no audience": ("aud", claims(aud=None)),
    "expired": ("exp", claims(exp=1_700_000_000)),
    "no expiry": ("exp", claims(exp=None)),
    "expiry that is text": ("exp", claims(exp="4000000000")),
    "expiry that is no number": ("exp", claims(exp=float("nan"))),
    "expiry that is true": ("exp", claims(exp=True)),
    "not valid yet": ("nbf", claims(nbf=FAR)),
    "issued in the future": ("iat", claims(iat=FAR, exp=FAR + 300)),
    "not issued at any time": ("iat", claims(iat=None)),
    "no nonce": ("nonce", claims(nonce=None)),
    "nonce of another sign-in": ("nonce", claims(nonce="n" * 43)),
    "nonces": ("nonce", sign(lambda header, said: signed(header, said | {"nonce": [said["nonce"]]}, key("one")))),
    "no subject": ("sub", claims(sub=None)),
    "empty subject": ("the subject of the ID token", claims(sub="")),
    "subject that is a number": ("sub", claims(sub=7)),
    "subject that is true": ("sub", claims(sub=True)),
    "subject of more than one line": ("the subject of the ID token", claims(sub="ada\nroot")),
    "subject with a character that cannot be stored": ("the subject of the ID token", claims(sub="ada\0")),
    "subject without end": ("the subject of the ID token", claims(sub="a" * 256)),
    "access token of somebody else": ("at_hash", claims(at_hash="AAAAAAAAAAAAAAAAAAAAAA")),
    "no algorithm at all": ("MissingAlgorithmError", sign(lambda _header, said: _raw({"kid": "one"}, said))),
    "algorithm none": (
        "the algorithm of the ID token",
        sign(lambda header, said: signed(header | {"alg": "none"}, said, None)),
    ),
    "secret of both, made of the public key": ("the algorithm of the ID token", sign(_by_public_key)),
    "secret of both, which is the client's": (
        "the algorithm of the ID token",
        sign(lambda header, said: signed(header | {"alg": "HS256"}, said, OctKey.import_key(CLIENT_SECRET))),
    ),
    "secret of both among the keys": ("the algorithm of the ID token", _with_key_set),
    "algorithm that is not on the list": ("the algorithm of the ID token", header(alg="RS512")),
    "key that is not the provider's": (
        "the key of the ID token",
        sign(lambda header, said: signed(header | {"kid": "attacker"}, said, key("attacker"))),
    ),
    "key that is called like the provider's": (
        "the signature of the ID token",
        sign(lambda header, said: signed(header, said, key("attacker"))),
    ),
    "key that is a path": ("the key of the ID token", header(kid="../../keys/one")),
    "key that is a number": ("the key of the ID token", sign(lambda header, said: _raw(header | {"kid": 1}, said))),
    "key that is not named among two": ("the ID token does not say which key has signed it", _without_kid),
    "key brought along": ("the key of the ID token", sign(_with_own_key)),
    "keys brought along": ("the key of the ID token", _with_own_key_set),
    "key for encryption": ("the key of the ID token", _with_encryption_key),
    "key for another algorithm": ("the key of the ID token", _with_key_of_other_algorithm),
    "key that is too short": ("the key of the ID token", _with_weak_key),
    "extension that nobody knows": (
        "the header of the ID token",
        sign(lambda header, said: _raw(header | {"crit": ["exp"], "exp": 1}, said)),
    ),
    "payload that is not encoded": (
        "MissingCritHeaderError",
        sign(lambda header, said: _raw(header | {"b64": False}, said)),
    ),
    "access token as ID token": ("the header of the ID token", header(typ="at+jwt")),
    "logout token as ID token": ("the header of the ID token", header(typ="logout+jwt")),
    "claims that were altered": ("the signature of the ID token", sign(_altered)),
    "signature that was cut": ("the signature of the ID token", sign(_cut)),
    "claims that are a list": ("the ID token is none", sign(lambda header, said: signed(header, [said], key("one")))),
    "claims that are no JSON": ("the ID token is none", sign(lambda header, _claims: signed(header, "{", key("one")))),
    "no token": ("DecodeError", fixed("token")),
    "token that is encrypted": ("DecodeError", fixed("a.b.c.d.e")),
    "token that is empty": ("DecodeError", fixed("")),
    "header that is no JSON": ("DecodeError", fixed("Zm9v.e30.e30")),
}


def _raw(header: Header, claims: Claims) -> str:
    """A token with a header that the library would not write; nobody gets as far as to its signature."""
    good = signed({"alg": "RS256", "kid": "one"}, claims, key("one"))
    return ".".join([_encoded(json.dumps(header).encode()), *good.split(".")[1:]])


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_that_is_not_right_lets_nobody_in(case: Case, name: str) -> None:
    why, change = TOKENS[name]
    change(case.issuer)
    case.leave()
    assert assert_refused(case, case.come_back) == "Untrusted"
    assert refusals(case.rows)[-1][1]["why"].endswith(why)
    assert "/own-keys" not in case.issuer.asked
    assert "/userinfo" not in case.issuer.asked


def test_the_token_of_another_provider_lets_nobody_in(case: Case) -> None:
    """Even where both sign with the same key."""
    case.issuer.claims["iss"] = case.other.url
    case.leave()
    assert assert_refused(case, case.come_back) == "Untrusted"


def without(*names: str) -> Callable[[Case], None]:
    """Not all that should be brought back."""

    def change(case: Case) -> None:
        for name in names:
            del case.answer[name]

    return change


def bringing(**changes: Any) -> Callable[[Case], None]:
    """Something else than was given."""
    return lambda case: case.answer.update(changes)


def _in_another_browser(case: Case) -> None:
    case.browser = case.new_browser()


def _with_the_cookie_of_another(case: Case) -> None:
    case.browser = case.new_browser()
    case.browser.leave()


def _with_the_code_of_another(case: Case) -> None:
    """Somebody's code that was caught on its way, put into a sign-in of one's own: the verifier is another."""
    case.answer["code"] = case.issuer.authorize(case.new_browser().leave())["code"]


def _again(case: Case) -> None:
    assert case.browser.return_with(case.answer).status_code == 303


def _again_with_the_cookie(case: Case) -> None:
    """Whoever has kept everything that the browser has sent."""
    kept = case.browser.cookie("kiln_sign_in")
    assert kept is not None
    _again(case)
    case.browser = case.new_browser()
    case.browser.client.set_cookie("kiln_sign_in", kept, domain="127.0.0.1")


def _too_late(case: Case) -> None:
    case.rows("UPDATE begun_sign_ins SET expires_at = now() - interval '1 second'")


def _to_another_provider(case: Case) -> None:
    case.provider = "other"


def _as_the_other_provider(case: Case) -> None:
    """A mix-up: the other provider answers what this one was asked."""
    case.answer["iss"] = case.other.url


ANSWERS: Final[dict[str, tuple[str, Callable[[Case], None]]]] = {
    "no state": ("Untrusted", without("state")),
    "state of somebody else": ("Untrusted", bringing(state="s" * 43)),
    "state that is not ASCII": ("Untrusted", bringing(state="é")),
    "two states": ("Untrusted", lambda case: case.answer.update(state=[case.answer["state"]] * 2)),
    "nothing at all": ("Untrusted", without("state", "code", "iss")),
    "no code": ("Untrusted", without("code")),
    "empty code": ("Untrusted", bringing(code="")),
    "two codes": ("Untrusted", lambda case: case.answer.update(code=[case.answer["code"], "other"])),
    "code that is none": ("Untrusted", bringing(code="guessed")),
    "code without end": ("Untrusted", bringing(code="c" * 3000)),
    "code of somebody else": ("Untrusted", _with_the_code_of_another),
    "no issuer where one is promised": ("Untrusted", without("iss")),
    "issuer of another provider": ("Untrusted", _as_the_other_provider),
    "two issuers": ("Untrusted", lambda case: case.answer.update(iss=[case.answer["iss"]] * 2)),
    "brought to another provider": ("BegunElsewhere", _to_another_provider),
    "another browser": ("BegunElsewhere", _in_another_browser),
    "another browser that has begun as well": ("Untrusted", _with_the_cookie_of_another),
    "brought twice": ("BegunElsewhere", _again),
    "brought twice with all that was kept": ("BegunElsewhere", _again_with_the_cookie),
    "brought too late": ("BegunElsewhere", _too_late),
    "declined": ("Declined", bringing(error="access_denied")),
    "declined for a reason that nobody knows": ("Declined", bringing(error="<script>alert(1)</script>")),
    "declined by another provider": ("Untrusted", bringing(error="access_denied", iss="https://elsewhere.example")),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_that_is_not_right_lets_nobody_in(case: Case, name: str) -> None:
    reason, change = ANSWERS[name]
    case.leave()
    change(case)
    assert assert_refused(case, case.come_back) == reason


def answering(path: str, answered: Answered) -> Callable[[Issuer], None]:
    """A provider that answers something else."""
    return lambda issuer: issuer.answers.update({path: answered})


def describing(**changes: Any) -> Callable[[Issuer], None]:
    """A provider that says something else of itself."""
    return lambda issuer: issuer.metadata.update(changes)


def _closed(issuer: Issuer) -> None:
    """Nobody is there: port 1 has no server."""
    issuer.metadata["token_endpoint"] = "http://127.0.0.1:1/token"


def _of_somebody_else(issuer: Issuer) -> None:
    issuer.claims = {"email": None}
    issuer.userinfo = {"sub": "root", "email": "root@example.org", "email_verified": True}


DISCOVERY: Final = "/.well-known/openid-configuration"
JSON: Final = {"Content-Type": "application/json"}
ELSEWHERE: Final = {"Location": "http://127.0.0.1:1/"} | JSON
LARGE: Final = b'{"a":"' + b"a" * fetching.LARGEST_BYTES + b'"}'

PROVIDERS: Final[dict[str, tuple[str, Callable[[Issuer], None]]]] = {
    "discovery of another issuer": ("Untrusted", describing(issuer="https://elsewhere.example.org")),
    "discovery with a slash": ("Untrusted", lambda issuer: issuer.metadata.update(issuer=f"{issuer.url}/")),
    "discovery without an issuer": ("Untrusted", describing(issuer=None)),
    "discovery that is elsewhere": ("Untrusted", answering(DISCOVERY, Answered({}, 302, ELSEWHERE))),
    "discovery that is too large": ("Untrusted", answering(DISCOVERY, Answered(LARGE))),
    "discovery that is a page": ("Untrusted", answering(DISCOVERY, Answered({}, 200, {"Content-Type": "text/html"}))),
    "discovery that is not there": ("Untrusted", answering(DISCOVERY, Answered({}, 404))),
    "sign-in without https": ("Untrusted", describing(authorization_endpoint="http://elsewhere.example.org/")),
    "sign-in that is a script": ("Untrusted", describing(authorization_endpoint="javascript:alert(1)")),
    "sign-in of more than one line": ("Untrusted", describing(authorization_endpoint="https://a.example\r\nX: y")),
    "token endpoint without https": ("Untrusted", describing(token_endpoint="http://elsewhere.example.org/")),
    "token endpoint that is a file": ("Untrusted", describing(token_endpoint="file:///etc/passwd")),
    "token endpoint that is no address": ("Untrusted", describing(token_endpoint="http://[")),
    "token endpoint with a name in it": ("Untrusted", describing(token_endpoint="https://a@elsewhere.example.org/")),
    "no token endpoint": ("Untrusted", describing(token_endpoint=None)),
    "no keys": ("Untrusted", describing(jwks_uri=None)),
    "PKCE that is no list": ("Untrusted", describing(code_challenge_methods_supported="S256")),
    "ways to prove ourselves that are no list": (
        "Untrusted",
        describing(token_endpoint_auth_methods_supported="client_secret_basic"),
    ),
    "plain PKCE alone": ("Untrusted", describing(code_challenge_methods_supported=["plain"])),
    "token endpoint that is elsewhere": ("Untrusted", answering("/token", Answered({}, 307, ELSEWHERE))),
    "token endpoint that refuses": ("Untrusted", answering("/token", Answered({"error": "invalid_grant"}, 400))),
    "token endpoint that fails": ("Unavailable", answering("/token", Answered({}, 500))),
    "token endpoint that is busy": ("Unavailable", answering("/token", Answered({}, 429))),
    "token endpoint that nobody serves": ("Unavailable", _closed),
    "token endpoint that answers too much": ("Untrusted", answering("/token", Answered(LARGE))),
    "token endpoint that answers no JSON": ("Untrusted", answering("/token", Answered(b"{"))),
    "token endpoint that answers nested JSON": ("Untrusted", answering("/token", Answered(b"[" * 200_000))),
    "token endpoint that answers a list": ("Untrusted", answering("/token", Answered([]))),
    "token endpoint that answers half": (
        "Untrusted",
        answering("/token", Answered(b"{}", 200, {"Content-Length": "99999999"} | JSON)),
    ),
    "token endpoint without an ID token": (
        "Untrusted",
        answering("/token", Answered({"access_token": "an access token", "token_type": "Bearer"})),
    ),
    "token endpoint with tokens of another type": (
        "Untrusted",
        answering("/token", Answered({"access_token": "a", "id_token": "a.b.c", "token_type": "mac"})),
    ),
    "keys that are elsewhere": ("Untrusted", answering("/keys", Answered({}, 301, ELSEWHERE))),
    "keys that are none": ("Untrusted", answering("/keys", Answered({"keys": {}}))),
    "keys that cannot be read": ("Untrusted", answering("/keys", Answered({"keys": [1, {"kty": "RSA", "n": 1}, {}]}))),
    "userinfo of somebody else": ("Untrusted", _of_somebody_else),
}


#: How it is said why, where something else would have refused it as well.
WHY: Final = {
    "discovery that is elsewhere": "302 from",
    "discovery that is too large": "more than",
    "token endpoint that is elsewhere": "307 from",
    "token endpoint that answers too much": "more than",
    "keys that are elsewhere": "301 from",
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_provider_that_does_not_do_as_it_should_lets_nobody_in(case: Case, name: str) -> None:
    reason, change = PROVIDERS[name]
    change(case.issuer)

    def go() -> TestResponse:
        response = case.browser.get("/oidc/acme/sign-in")
        if response.status_code != 302:
            return response
        case.answer = case.issuer.authorize(response.headers["Location"])
        return case.come_back()

    assert assert_refused(case, go) == reason
    assert refusals(case.rows)[-1][1]["why"].startswith(WHY.get(name, ""))


def test_a_provider_that_drips_is_hung_up_on(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "_ANSWER_SECONDS", 0.2)
    going = threading.Event()

    def drip(header: Header, claims: Claims) -> str:
        going.wait(30)
        return signed(header, claims, case.issuer.signing)

    case.issuer.sign = drip
    case.leave()
    assert assert_refused(case, case.come_back) == "Unavailable"
    going.set()


def _disabled(case: Case) -> None:
    case.issuer.claims = {"sub": "disabled", "email": "disabled@example.org"}
    case.browser.sign_in_at(case.issuer)
    case.rows("UPDATE users SET enabled = false WHERE email = 'disabled@example.org'")
    case.rows("DELETE FROM sessions USING users WHERE users.id = user_id AND NOT enabled")


PEOPLE: Final[dict[str, tuple[str, Callable[[Issuer], None]]]] = {
    "e-mail address that is not verified": ("EmailUnverified", claims(sub="new", email_verified=False)),
    "e-mail address that is verified in words": ("EmailUnverified", claims(sub="new", email_verified="true")),
    "e-mail address of which nothing is said": ("EmailUnverified", claims(sub="new", email_verified=None)),
    "no e-mail address": ("EmailUnverified", claims(sub="new", email=None)),
    "e-mail address that is none": ("EmailUnverified", claims(sub="new", email="new")),
    "e-mail addresses": ("EmailUnverified", claims(sub="new", email=["new@example.org"])),
    "e-mail address of somebody here": ("EmailOfAnother", claims(sub="new", email="admin@localhost")),
    "e-mail address of somebody here, in capitals": ("EmailOfAnother", claims(sub="new", email="ADMIN@Localhost")),
    "groups that are text": ("Untrusted", claims(sub="new", groups="readers-there")),
    "groups that are numbers": ("Untrusted", claims(sub="new", groups=[1])),
}


@pytest.mark.parametrize("name", PEOPLE)
def test_whoever_is_not_clear_does_not_join(case: Case, name: str) -> None:
    reason, change = PEOPLE[name]
    change(case.issuer)
    case.leave()
    assert assert_refused(case, case.come_back) == reason


def test_whoever_is_disabled_is_refused(case: Case) -> None:
    _disabled(case)
    case.leave()
    assert assert_refused(case, case.come_back) == "UserDisabled"


def test_whoever_is_unknown_does_not_join_where_nobody_may(case: Case) -> None:
    case.provider = "other"
    case.answer = case.other.authorize(case.browser.leave("other"))
    assert assert_refused(case, case.come_back) == "UnknownIdentity"


def test_what_a_provider_answers_is_shown_to_nobody(case: Case) -> None:
    case.leave()
    case.answer["error"], case.answer["error_description"] = "access_denied", "<b>said by the provider</b>"
    response = case.come_back()
    assert "The provider did not sign you in" in response.text
    assert "said by the provider" not in response.text


def test_nothing_of_this_was_in_the_way_of_who_does_as_they_should(case: Case) -> None:
    case.leave()
    assert case.come_back().status_code == 303
