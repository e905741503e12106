"""People's programs: they submit, write down what they were told, and repeat what was not accepted."""

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import requests

from tests.chaos.ledger import Answer, Ledger

_AGAIN_SECONDS = 0.1

#: Between two requests of a client that goes on and on, so that workers can keep up.
_PACE_SECONDS = 0.02


class Clients:
    """Many clients of one web server, which execute one function in the background."""

    def __init__(self, address: str, key: str, ledger: Ledger) -> None:
        self.address, self._key = address, key
        self.problems: list[str] = []
        """Answers that no client should get."""
        self._ledger = ledger
        self._local = threading.local()

    def submit(self, function_id: str, inputs: Iterable[int | str], *, clients: int = 4, **terms: object) -> None:
        """Submit an execution for each input, whatever it takes. `terms` are more members of the requests."""
        with ThreadPoolExecutor(clients) as threads:
            for _ in threads.map(lambda value: self._insist(function_id, value, terms), inputs):
                pass

    def submit_until(self, function_id: str, stop: threading.Event, *, value: int | str, clients: int) -> None:
        """Go on submitting until told to stop."""

        def go_on(_number: int) -> None:
            while not stop.is_set():
                accepted = self.request(function_id, value) is Answer.ACCEPTED
                time.sleep(_PACE_SECONDS if accepted else _AGAIN_SECONDS)

        with ThreadPoolExecutor(clients) as threads:
            list(threads.map(go_on, range(clients)))

    def register(self, name: str, language: str, source: str, **members: object) -> str:
        """Register a function; answers its id."""
        body = {"name": name, "language": language, "source": source, **members}
        response = self._session().post(f"{self.address}/functions", json=body, timeout=30)
        assert response.status_code == 201, response.text
        function_id: str = response.json()["id"]
        return function_id

    def _insist(self, function_id: str, value: int | str, terms: Mapping[str, object]) -> None:
        while self.request(function_id, value, terms) is not Answer.ACCEPTED:
            time.sleep(_AGAIN_SECONDS)

    def cancel(self, execution_id: str) -> int:
        """Cancel an execution; answers the status."""
        return self._session().post(f"{self.address}/executions/{execution_id}/cancel", timeout=30).status_code

    def request(self, function_id: str, value: int | str, terms: Mapping[str, object] | None = None) -> Answer:
        """One request, under an id of its own that the execution bears as its correlation id."""
        client_id = str(uuid4())
        headers = {"Prefer": "respond-async", "X-Correlation-Id": client_id}
        url = f"{self.address}/functions/{function_id}/execute"
        try:
            response = self._session().post(url, json={"input": value, **(terms or {})}, headers=headers, timeout=30)
        except requests.RequestException:
            answer, execution_id = Answer.UNKNOWN, ""
        else:
            answer, execution_id = self._read(response)
        self._ledger.note(client_id, answer, execution_id)
        return answer

    def _read(self, response: requests.Response) -> tuple[Answer, str]:
        if response.status_code in {200, 202}:
            return Answer.ACCEPTED, response.json()["id"]
        if response.status_code in {503, 507} and response.headers.get("Retry-After"):
            return Answer.REFUSED, ""
        self.problems.append(f"{response.status_code} {response.text}")
        return Answer.FAULT, ""

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.headers["Authorization"] = f"Bearer {self._key}"
        session: requests.Session = self._local.session
        return session
