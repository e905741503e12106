"""What is not documented does not exist: settings, problems, routes and statuses are looked for in the documents."""

import re
from dataclasses import asdict, fields
from pathlib import Path

from flask import Flask

from app.executions.domain import ErrorType, Status
from app.functions.domain import Verification, VersionStatus
from app.http.problems import PROBLEMS
from app.queue import Queue, Task
from app.settings import Settings
from app.toolchains.jail import JailLimits
from app.toolchains.jail.limits import MEBIBYTE

ROOT = Path(__file__).resolve().parents[2]


def document(name: str) -> str:
    """The text of one page."""
    return (ROOT / "docs" / name).read_text()


def test_every_setting_is_in_its_page_and_nothing_else_is() -> None:
    written = re.findall(r"^\| `([A-Z_]+)` \|", document("settings.md"), re.MULTILINE)
    assert written == [row.metadata["variable"] for row in fields(Settings) if row.metadata]


def test_every_problem_is_in_its_page_with_its_status() -> None:
    written = re.findall(r"`([a-z_]+)` \| (\d{3}) \|", document("problems.md"))
    assert written == [(code, str(status)) for code, (status, _) in PROBLEMS.items()]


def test_every_route_is_in_the_api_page(app: Flask) -> None:
    page = document("api.md")
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: "{" + match.group(1).split("_")[-1] + "}", rule.rule)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            is_page = path.startswith(("/static", "/console")) or path == "/"
            assert f"`{method} {path}`" in page or is_page, f"{method} {path}"


def test_every_error_type_and_status_is_explained() -> None:
    page = document("functions.md")
    for word in [*ErrorType, *Status, *VersionStatus, *Verification]:
        assert f"`{word}`" in page, word


def test_queues_and_tasks_are_in_the_operators_page() -> None:
    page = document("operations.md")
    for word in [*Queue, *Task]:
        assert f"`{word}`" in page, word


def test_every_limit_of_the_jail_is_in_its_page_with_its_value() -> None:
    written = re.findall(r"^\| `([a-z_]+)` \| ([0-9,]+(?: MiB)?) \|", document("jail.md"), re.MULTILINE)
    limits = asdict(JailLimits())
    mebibytes = {name: f"{value // MEBIBYTE:,} MiB" for name, value in limits.items() if name.endswith("_bytes")}
    assert dict(written) == {name: f"{value:,}" for name, value in limits.items()} | mebibytes


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


def test_every_target_of_make_is_described() -> None:
    makefile = (ROOT / "Makefile").read_text()
    public = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for target in " ".join(public).split():
        assert re.search(rf"^{re.escape(target)}:.*## \w", makefile, re.MULTILINE), target
