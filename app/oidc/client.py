"""This installation as a client of one provider: where people are sent, and who they are when they come back.

The authorization code flow of OpenID Connect Core with PKCE (RFC 7636) and the issuer in the answer (RFC 9207), as RFC
9700 asks for it.
"""

import hmac
from functools import partial
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.discovery import get_well_known_url

from app.oidc import id_tokens
from app.oidc.asking import PAUSE_SECONDS, Kept, Line
from app.oidc.domain import ANSWERED_ERRORS, Answer, Claims, Declined, Secrets, Untrusted
from app.oidc.fetching import fetch
from app.oidc.id_tokens import UnknownKey
from app.providers import Provider, is_protected
from app.settings import EMAIL, Settings

_LONGEST_CODE: Final = 2000
_LONGEST_NAME: Final = 200
_MOST_GROUPS: Final = 1000

_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint")


class Client:
    """Safe to be used by many threads. `redirect_uri` is the one address that the provider sends people back to."""

    def __init__(self, provider: Provider, redirect_uri: str) -> None:
        self.provider = provider
        self.redirect_uri = redirect_uri
        self._line = Line()
        self._metadata = Kept(self._discover)
        self._keys = Kept(lambda: id_tokens.import_keys(fetch(self._metadata.get()["jwks_uri"])))

    def authorization_url(self, secrets: Secrets) -> str:
        """Where a browser is sent. Raises Unavailable and Untrusted."""
        url: str = prepare_grant_uri(
            (self._metadata.known() or self._asked())["authorization_endpoint"],
            self.provider.client_id,
            "code",
            redirect_uri=self.redirect_uri,
            scope=list(self.provider.scopes),
            state=secrets.state,
            nonce=secrets.nonce,
            code_challenge=create_s256_code_challenge(secrets.verifier),
            code_challenge_method="S256",
        )
        return url

    def claims(self, answer: Answer, secrets: Secrets) -> Claims:
        """Who has come back. Raises Declined, Unavailable and Untrusted."""
        if not hmac.compare_digest((answer.state or "").encode(), secrets.state.encode()):
            raise Untrusted("the state of the answer")
        with self._line.taken():
            return self._claims(answer, secrets)

    def _asked(self) -> dict[str, Any]:
        with self._line.taken():
            return self._metadata.get()

    def _claims(self, answer: Answer, secrets: Secrets) -> Claims:
        self._check_issuer(answer)
        if answer.error is not None:
            raise Declined(answer.error if answer.error in ANSWERED_ERRORS else "an error without a known name")
        if not answer.code or len(answer.code) > _LONGEST_CODE:
            raise Untrusted("the answer has no code")
        tokens = self._redeemed(answer.code, secrets)
        claims = self._verified(tokens["id_token"], secrets.nonce, tokens["access_token"])
        return self._read(self._completed(claims, tokens["access_token"]))

    def _check_issuer(self, answer: Answer) -> None:
        is_promised = self._metadata.get().get("authorization_response_iss_parameter_supported") is True
        if answer.issuer != self.provider.issuer and (is_promised or answer.issuer is not None):
            raise Untrusted("the issuer of the answer")

    def _redeemed(self, code: str, secrets: Secrets) -> dict[str, str]:
        metadata, headers = self._metadata.get(), dict[str, str]()
        body = prepare_token_request(
            "authorization_code", redirect_uri=self.redirect_uri, code=code, code_verifier=secrets.verifier
        )
        method = self._authentication(metadata)
        # RFC 6749, section 2.3.1, has both encoded before they are joined; in a form they are encoded anyway.
        encoded = quote_plus if method == "client_secret_basic" else str
        auth = ClientAuth(encoded(self.provider.client_id), encoded(self.provider.client_secret), method)
        url, headers, body = auth.prepare("POST", metadata["token_endpoint"], headers, body)
        tokens = fetch(url, body=body, headers=headers)
        are_texts = all(isinstance(tokens.get(name), str) for name in ("id_token", "access_token", "token_type"))
        if not are_texts or tokens["token_type"].lower() != "bearer":
            raise Untrusted("the answer of the token endpoint")
        return tokens

    def _authentication(self, metadata: dict[str, Any]) -> str:
        offered = _listed(metadata, "token_endpoint_auth_methods_supported", "client_secret_basic")
        for method in ("client_secret_basic", "client_secret_post"):
            if method in offered:
                return method
        raise Untrusted("the token endpoint takes no client_secret")

    def _verified(self, token: str, nonce: str, access_token: str) -> dict[str, Any]:
        verify = partial(
            id_tokens.verify,
            token,
            issuer=self.provider.issuer,
            client_id=self.provider.client_id,
            nonce=nonce,
            access_token=access_token,
        )
        try:
            return verify(self._keys.get())
        except UnknownKey:
            with_newer_keys = self._keys.get(PAUSE_SECONDS)
        try:
            return verify(with_newer_keys)
        except UnknownKey as error:
            raise Untrusted(error.why) from error

    def _completed(self, claims: dict[str, Any], access_token: str) -> dict[str, Any]:
        """The claims with those that a provider keeps for its userinfo endpoint, which never contradicts the token."""
        wanted = {"email", "email_verified"} if self.provider.may_join else set[str]()
        wanted |= {self.provider.groups_claim} if self.provider.groups_claim else set()
        endpoint = self._metadata.get().get("userinfo_endpoint")
        if endpoint is None or wanted <= claims.keys():
            return claims
        more = fetch(endpoint, headers={"Authorization": f"Bearer {access_token}"})
        if more.get("sub") != claims["sub"]:
            raise Untrusted("the userinfo is of somebody else")
        return more | claims

    def _read(self, claims: dict[str, Any]) -> Claims:
        name = claims.get("name")
        is_name = isinstance(name, str) and 0 < len(name) <= _LONGEST_NAME and name.isprintable()
        return Claims(
            subject=claims["sub"],
            email=_verified_email(claims),
            name=name if is_name else None,
            groups=self._groups(claims),
        )

    def _groups(self, claims: dict[str, Any]) -> frozenset[str]:
        """What is not said is no group: who is taken out of the last one must not keep what it gave."""
        found = claims.get(self.provider.groups_claim, []) if self.provider.groups_claim else []
        is_list = isinstance(found, list) and len(found) <= _MOST_GROUPS
        if not is_list or not all(isinstance(group, str) for group in found):
            raise Untrusted("the groups are no list of text")
        return frozenset(found)

    def _discover(self) -> dict[str, Any]:
        metadata = fetch(get_well_known_url(self.provider.issuer, external=True))
        if metadata.get("issuer") != self.provider.issuer:
            raise Untrusted("the discovery document is of another issuer")
        is_local = urlsplit(self.provider.issuer).scheme == "http"
        for name in _ENDPOINTS:
            address = metadata.get(name)
            if address is None and name == "userinfo_endpoint":
                continue
            if not isinstance(address, str) or not _is_endpoint(address, is_local=is_local):
                raise Untrusted(f"the {name} of the discovery document")
        if "S256" not in _listed(metadata, "code_challenge_methods_supported", "S256"):
            raise Untrusted("the provider does not do PKCE with S256")
        return metadata


def clients(settings: Settings) -> dict[str, Client]:
    """By the name of its provider, each client of an installation."""
    return {one.name: Client(one, f"{settings.base_url}/oidc/{one.name}/callback") for one in settings.oidc_providers}


def _verified_email(claims: dict[str, Any]) -> str | None:
    email = claims.get("email")
    if not isinstance(email, str) or not EMAIL.fullmatch(email) or not email.isprintable():
        return None
    return email.lower() if claims.get("email_verified") is True else None


def _listed(metadata: dict[str, Any], name: str, otherwise: str) -> list[Any]:
    """What a provider says that it does; `otherwise` where it says nothing."""
    found = metadata.get(name, [otherwise])
    if not isinstance(found, list):
        raise Untrusted(f"the {name} of the discovery document")
    return found


def _is_endpoint(address: str, *, is_local: bool) -> bool:
    if not (address.isascii() and address.isprintable()) or " " in address:
        return False
    try:
        return is_protected(address) and (is_local or urlsplit(address).scheme == "https")
    except ValueError:
        return False
