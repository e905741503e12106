"""ID tokens: whose signature is believed, and what they must say (OpenID Connect Core, 3.1.3.7, and RFC 8725)."""

import json
import time
from collections.abc import Sequence
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jws
from joserfc.errors import JoseError, UnsupportedAlgorithmError
from joserfc.jwa import JWSAlgModel
from joserfc.jwk import JWKRegistry, Key
from joserfc.util import urlsafe_b64decode

from app.oidc.domain import OidcError, Untrusted

#: The algorithms that are believed, and the type of key of each. A provider that names another one is not asked what it
#: thinks of it.
ALGORITHMS: Final = {"RS256": "RSA", "PS256": "RSA", "ES256": "EC", "EdDSA": "OKP"}

#: By how much two clocks may differ.
LEEWAY_SECONDS: Final = 30

_LEAST_RSA_BITS: Final = 2048
_MOST_KEYS: Final = 100
_LONGEST_SUBJECT: Final = 255


class UnknownKey(OidcError):
    """The key of an ID token is none of those that are known of the provider."""


class _Registry(jws.JWSRegistry):
    """The library's, which warns of EdDSA's name since RFC 9864 gave each curve its own; providers go on using it.

    Chains of certificates in a header are longer than the library expects, and nobody looks at them here.
    """

    max_header_length = 16_384

    def get_alg(self, name: str) -> JWSAlgModel:
        """An algorithm that is believed."""
        if name not in ALGORITHMS:
            raise UnsupportedAlgorithmError
        return self.algorithms[name]


# Members of a header that nobody knows are ignored, as RFC 7515 has it; `crit` is not.
_REGISTRY: Final = _Registry(strict_check_header=False)


def import_keys(document: dict[str, Any]) -> list[Key]:
    """The keys of a set that may sign ID tokens. One that cannot be read does not take the others with it."""
    entries = document.get("keys")
    if not isinstance(entries, list) or len(entries) > _MOST_KEYS:
        raise Untrusted("the key set is none")
    return [key for entry in entries if (key := _imported(entry)) is not None]


def verify(
    token: str, keys: Sequence[Key], *, issuer: str, client_id: str, nonce: str, access_token: str
) -> dict[str, Any]:
    """The claims of a token. Raises Untrusted, and UnknownKey where newer keys might tell."""
    try:
        signed = jws.extract_compact(token.encode(), registry=_REGISTRY)
        header = signed.headers()
        _check_header(header)
        if not jws.validate_compact(signed, _key_of(header, keys), registry=_REGISTRY):
            raise Untrusted("the signature of the ID token")
        claims = CodeIDToken(
            json.loads(signed.payload or b""),
            header,
            {"iss": {"essential": True, "value": issuer}, "aud": {"essential": True, "value": client_id}},
            {"nonce": nonce, "client_id": client_id, "access_token": access_token},
        )
        claims.validate(int(time.time()), LEEWAY_SECONDS)
        _check_subject(claims)
    except JoseError as error:
        raise Untrusted(f"the ID token: {type(error).__name__} {_claim_of(error)}".rstrip()) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise Untrusted("the ID token is none") from error
    return dict(claims)


def _imported(entry: object) -> Key | None:
    if not isinstance(entry, dict) or entry.get("kty") not in ALGORITHMS.values() or entry.get("use", "sig") != "sig":
        return None
    try:
        # The library warns of an RSA key that is too short, instead of refusing it.
        if entry["kty"] == "RSA" and _bits(entry["n"]) < _LEAST_RSA_BITS:
            return None
        key = JWKRegistry.import_key(entry)
    except (JoseError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return None if key.is_private else key


def _bits(number: str) -> int:
    return int.from_bytes(urlsafe_b64decode(number.encode())).bit_length()


def _check_header(header: dict[str, Any]) -> None:
    if header.get("alg") not in ALGORITHMS:
        raise Untrusted("the algorithm of the ID token")
    # No extension is known here, and a token that is signed for another purpose says so.
    if "crit" in header or "b64" in header or str(header.get("typ", "JWT")).lower() not in {"jwt", "application/jwt"}:
        raise Untrusted("the header of the ID token")


def _key_of(header: dict[str, Any], keys: Sequence[Key]) -> Key:
    """The one key that a header means. What it brings along itself (`jwk`, `jku`, `x5c`) is never a key."""
    kind, kid = ALGORITHMS[header["alg"]], header.get("kid")
    fitting = [key for key in keys if key.key_type == kind and key.get("alg") in {None, header["alg"]}]
    named = [key for key in fitting if kid is None or key.get("kid") == kid]
    if not named:
        raise UnknownKey("the key of the ID token")
    if len(named) > 1:
        raise Untrusted("the ID token does not say which key has signed it")
    return named[0]


def _check_subject(claims: dict[str, Any]) -> None:
    subject = claims["sub"]
    if not (0 < len(subject) <= _LONGEST_SUBJECT and subject.isascii() and subject.isprintable()):
        raise Untrusted("the subject of the ID token")


def _claim_of(error: JoseError) -> str:
    """Which claim is meant: a name of ours or of the standard, never its value."""
    claim = getattr(error, "claim", "")
    return claim if isinstance(claim, str) and claim.isidentifier() else ""
