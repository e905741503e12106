"""Functions in Python over HTTP: many share one component, and each has what that needs."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.api.answers import assert_problem, register
from tests.workbench import Workbench

ADD = "def handle(input):\n    return input['a'] + input['b']\n"
FAIL = "def handle(input):\n    print('began')\n    raise ValueError('order 7 is unknown')\n"


@pytest.fixture
def functions(client: FlaskClient, workbench: Workbench) -> list[str]:
    """Two functions, compiled."""
    workbench.prepare()
    ids = [register(client, name, source, language="python")["id"] for name, source in (("add", ADD), ("fail", FAIL))]
    workbench.drain()
    return [str(one) for one in ids]


def test_functions_share_the_component_and_its_native_code(
    client: FlaskClient, workbench: Workbench, functions: list[str], rows: Callable[..., list[Any]]
) -> None:
    assert {client.get(f"/functions/{one}").get_json()["status"] for one in functions} == {"READY"}
    assert rows("SELECT count(*) FROM artifacts") == rows("SELECT count(*) FROM native_code") == [(1,)]
    assert rows("SELECT count(*) FROM layers") == [(2,)]
    workbench.start()
    added = client.post(f"/functions/{functions[0]}/execute", json={"input": {"a": 1, "b": 2}}).get_json()
    assert (added["status"], added["output"]) == ("COMPLETED", 3)
    failed = client.post(f"/functions/{functions[1]}/execute", json={"input": {}}).get_json()
    assert (failed["status"], failed["errorType"]) == ("FAILED", "FUNCTION_ERROR")
    assert (failed["errorMessage"], failed["errorLocation"]) == ("ValueError: order 7 is unknown", "source.py:3")


def test_less_memory_than_the_interpreter_needs_is_refused(client: FlaskClient) -> None:
    body = {"name": "small", "language": "python", "source": ADD, "limits": {"memoryMb": 31}}
    problem = assert_problem(client.post("/functions", json=body), "validation_error")
    assert problem["errors"] == [
        {"pointer": "/limits/memoryMb", "message": "A function in python needs a memoryMb of at least 32"}
    ]
    function = register(client, "small", ADD, language="python", limits={"memoryMb": 32})
    change = client.put(f"/functions/{function['id']}", json={"limits": {"memoryMb": 31}})
    assert assert_problem(change, "validation_error")["errors"][0]["pointer"] == "/limits/memoryMb"
    assert client.get(f"/functions/{function['id']}").get_json()["limits"]["memoryMb"] == 32


def test_a_function_with_little_memory_cannot_become_python(client: FlaskClient) -> None:
    function = register(client, limits={"memoryMb": 1})
    url = f"/functions/{function['id']}"
    assert_problem(client.put(url, json={"language": "python", "source": ADD}), "validation_error")
    more = {"language": "python", "source": ADD, "limits": {"memoryMb": 32}}
    assert client.put(url, json=more).get_json()["language"] == "python"
