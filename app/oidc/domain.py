"""What is said between a provider and this installation, and how that fails."""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final

#: What a provider may say instead of giving a code: RFC 6749, section 4.1.2.1, and OpenID Connect Core, 3.1.2.6.
ANSWERED_ERRORS: Final = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class Secrets:
    """What belongs to one sign-in. All of it is derived from what the browser keeps, so that nothing needs to be kept
    here but the digest of that; none of it says anything of the rest.
    """

    state: str
    nonce: str
    verifier: str

    @classmethod
    def of(cls, browser: str) -> "Secrets":
        """Those of the sign-in that a browser has begun."""
        return cls(*(_derived(browser, purpose) for purpose in (b"state", b"nonce", b"verifier")))


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """What a browser brings back from a provider; None is what it did not bring."""

    state: str | None = None
    code: str | None = None
    issuer: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Claims:
    """What a provider says of somebody. `email` is one that it has verified."""

    subject: str
    email: str | None
    name: str | None
    groups: frozenset[str]


class OidcError(Exception):
    """Signing in elsewhere failed. `why` is for those who operate this, and has nothing secret in it."""

    def __init__(self, why: str) -> None:
        super().__init__((self.__doc__ or "").splitlines()[0])
        self.why = why


class Declined(OidcError):
    """The provider did not sign you in."""


class Unavailable(OidcError):
    """The provider does not answer. Try again in a while."""

    retry_after_seconds: Final = 10

    def __init__(self, why: str, *, is_silent: bool = False) -> None:
        super().__init__(why)
        self.is_silent = is_silent


class Untrusted(OidcError):
    """What the provider has answered cannot be trusted, so nobody was signed in."""


def _derived(browser: str, purpose: bytes) -> str:
    digest = hmac.new(browser.encode(), purpose, hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
