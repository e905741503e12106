"""What every answer tells browsers, whoever made it: nothing is kept, guessed, framed, or run that is not ours.

The values are those of OWASP's sheets on REST security and on HTTP headers.
"""

from typing import Final

from flask import Flask, Response, request

#: For pages: only what this server serves as files, and no frame of anybody's. Trusted Types cannot be asked for: htmx
#: reads what it is answered with a DOMParser.
PAGE_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

#: Swagger UI has pictures in its style sheet, and styles in its elements.
_DOCS_POLICY: Final = PAGE_POLICY.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'").replace(
    "img-src 'self'", "img-src 'self' data:"
)

#: For all that is no page: should a browser show it nevertheless, nothing in it runs.
_DATA_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"

_DOCS: Final = "api-docs.openapi_swagger_ui"


def protect_answers(app: Flask) -> None:
    """Add these headers where an answer does not say otherwise. To be called before all others that change answers:
    Flask asks them in the reverse order.
    """

    @app.after_request
    def protect(response: Response) -> Response:
        headers = response.headers
        headers.setdefault("Content-Security-Policy", _DOCS_POLICY if request.endpoint == _DOCS else _DATA_POLICY)
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        headers.setdefault("Referrer-Policy", "same-origin")
        headers.setdefault("Cache-Control", "no-store")
        return response
