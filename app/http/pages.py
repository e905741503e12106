"""The two addresses that people click: the bare one, and the types of problems."""

from pathlib import Path

from flask import Blueprint, Response, redirect
from werkzeug.wrappers import Response as BaseResponse

from app.rules import rule

_PROBLEMS = Path(__file__).resolve().parents[2] / "docs" / "problems.md"

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
@rule(is_open=True)
def front() -> BaseResponse:
    """The console."""
    return redirect("/console/")


@blueprint.get("/docs/problems")
@rule()
def problems() -> Response:
    """What each problem's `type` leads to."""
    return Response(_PROBLEMS.read_text(), mimetype="text/markdown")
