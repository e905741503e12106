"""The README's first function does what the README says; the operators' SQL runs."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.answers import register
from tests.workbench import Workbench

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_first_function_of_the_readme_is_registered_compiled_and_executed(
    client: FlaskClient, workbench: Workbench
) -> None:
    body = json.loads(re.findall(r"-d '(\{.*?\n  \})'", README, re.DOTALL)[0])
    response = client.post("/functions", json=body)
    assert response.get_json()["status"] == "PENDING"
    workbench.drain()
    workbench.start()
    url = response.headers["Location"]
    executed = client.post(f"{url}/execute", json=json.loads(re.findall(r"execute .*-d '(\{.*\})'", README)[0]))
    assert executed.get_json()["output"] == "HELLO"
    assert len(client.get(f"{url}/executions").get_json()["items"]) == 1


def test_the_compile_error_of_the_readme_is_the_one_that_is_answered(client: FlaskClient, workbench: Workbench) -> None:
    source = "export function handle(input: string): string { return input.shout(); }"
    function_id = register(client, "shout", source, language="assemblyscript")["id"]
    workbench.drain()
    error = client.get(f"/functions/{function_id}").get_json()["compileError"]
    assert error in README


@pytest.mark.parametrize(
    ("page", "fence", "language"),
    [
        ("assemblyscript", "ts", "assemblyscript"),
        ("javascript", "js", "javascript"),
        ("typescript", "ts", "typescript"),
        ("c", "c", "c"),
        ("c", "cpp", "cpp"),
    ],
)
def test_the_handler_in_a_languages_page_greets(
    client: FlaskClient, workbench: Workbench, page: str, fence: str, language: str
) -> None:
    text = (ROOT / "docs" / "languages" / f"{page}.md").read_text()
    source = re.findall(rf"```{fence}\n(.*?)```", text, re.DOTALL)[0]
    function_id = register(client, "hello", source, language=language)["id"]
    workbench.drain()
    workbench.start()
    body = client.post(f"/functions/{function_id}/execute", json={"input": {"name": "Ada"}}).get_json()
    assert body["status"] == "COMPLETED", body
    assert "Ada" in str(body["output"])


def test_the_operators_sql_runs(client: FlaskClient, rows: Callable[..., list[Any]]) -> None:
    function_id = register(client)["id"]
    statements = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "operations.md").read_text(), re.DOTALL)
    answers = [rows(part) for statement in statements for part in statement.split(";") if part.strip()]
    assert len(statements) >= 5
    assert function_id in str(answers)
    assert "'echo', 1, 'PENDING'" in str(answers)
