"""What strangers may send to the web process, over plain sockets."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.acceptance.conftest import Client
from tests.acceptance.processes import LocalProcess
from tests.conftest import PASSWORD as ADMIN_PASSWORD
from tests.programs import LOOP

Rows = Callable[..., list[Any]]

HEAD = b"POST /functions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"


def connect(api: Client) -> socket.socket:
    """A connection to the web process."""
    host, port = api.address.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), timeout=10)


def say(api: Client, *words: bytes) -> bytes:
    """Everything that is answered to these bytes, the last of which ends what is said."""
    with connect(api) as connection:
        for word in words:
            connection.sendall(word)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer


def test_those_who_send_half_a_request_stop_nobody_else(api: Client) -> None:
    halves = [connect(api) for _ in range(200)]
    for half in halves:
        half.sendall(HEAD + b"Content-Length: 500\r\n\r\n{")
    began = time.monotonic()
    assert api("GET", "/livez").status_code == 200
    assert api("GET", "/functions").status_code == 200
    assert time.monotonic() - began < 5
    for half in halves:
        half.close()


def test_a_body_that_ends_early_is_no_request(api: Client, rows: Rows) -> None:
    whole = b'{"name": "half", "language": "wat", "source": "(module)"}'
    say(api, HEAD, b"Content-Length: 500\r\n\r\n", whole)
    say(api, HEAD, b"Transfer-Encoding: chunked\r\n\r\n500\r\n", whole)
    assert rows("SELECT FROM functions") == []


NO_REQUESTS = [
    (b"NONSENSE\r\n\r\n", 400, b"bad_request"),
    (b"GET /livez HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400, b"bad_request"),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n", 400, b"bad_request"),
    (HEAD + b"Content-Length: 99999999999\r\n\r\n", 413, b"too_large"),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 30_000 + b"\r\n\r\n", 431, b"headers_too_large"),
    (b"GET /livez?" + b"x" * 9_000 + b" HTTP/1.0\r\n\r\n", 414, b"uri_too_long"),
]


def test_what_is_no_request_is_a_problem_all_the_same(api: Client) -> None:
    for request, status, code in NO_REQUESTS:
        answer = say(api, request)
        assert answer.split()[1] == str(status).encode(), request[:80]
        assert b"application/problem+json" in answer
        assert b'"code":"' + code in answer


def test_a_chunked_body_may_not_be_larger_either(api: Client) -> None:
    def chunks() -> Any:
        for _ in range(40):
            yield b" " * (1 << 20)

    try:
        response = api("POST", "/functions", data=chunks(), headers={"Content-Type": "application/json"})
    except OSError:  # It was told while it was still sending.
        return
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize(("proxy", "seen"), [("127.0.0.1", "192.0.2.7"), ("192.0.2.1", "127.0.0.1")])
def test_only_the_trusted_proxy_is_believed_whom_it_speaks_for(
    new_web: Callable[..., Client], proxy: str, seen: str
) -> None:
    client = new_web(KILN_TRUSTED_PROXY=proxy)
    body = {"email": "admin@localhost", "password": ADMIN_PASSWORD}
    answer = client("POST", "/sessions", json=body, headers={"X-Forwarded-For": "203.0.113.9, 192.0.2.7"})
    assert (answer.status_code, answer.json()["address"]) == (201, seen)


def test_writers_of_one_function_come_one_after_the_other(api: Client) -> None:
    function_id = api.register("shared", "wat", "(module)")
    addresses = [f"/functions/{function_id}"] * 8
    with ThreadPoolExecutor(8) as threads:
        clients = [api.another() for _ in addresses]
        answers = threads.map(
            lambda n: clients[n]("PUT", addresses[n], json={"language": "wat", "source": f"(module) ;; {n}"}), range(8)
        )
        assert [answer.status_code for answer in answers] == [200] * 8
        for client in clients:
            client.close()
    assert api("GET", addresses[0]).json()["latestVersion"]["number"] == 9


def test_who_waits_when_the_process_is_told_to_stop_is_answered(kiln: Client, web: LocalProcess) -> None:
    function_id = kiln.register("slow", "wat", LOOP, limits={"timeoutMs": 9_000})
    kiln.compiled(function_id)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(kiln, "POST", f"/functions/{function_id}/execute", json={})
        time.sleep(1)
        web.process.terminate()
        answer = waiting.result(timeout=20)
    assert (answer.status_code, answer.json()["status"]) == (202, "RUNNING")
    web.process.wait(timeout=10)
