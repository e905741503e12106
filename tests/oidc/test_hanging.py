"""A provider that does not answer holds up few of those who sign in with it, and nobody else."""

import threading
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice

import pytest
from flask import Flask

from app.oidc import fetching
from tests.oidc.browsing import Browser
from tests.oidc.issuer import Answered, Issuer


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says."""
    now = [1000.0]
    monkeypatch.setattr("app.oidc.asking.time.monotonic", lambda: now[0])
    return now


class Hanging:
    """An issuer that does not answer at a path, until it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, issuer: Issuer, path: str) -> None:
        self.path, self.asked = path, 0
        self.end = threading.Event()
        self._answer = issuer.answer
        monkeypatch.setattr(issuer, "answer", self.answer)

    def answer(self, path: str, headers: object, body: str) -> Answered:
        """What it answers, in the end."""
        if path == self.path:
            self.asked += 1
            assert self.end.wait(60)
        return self._answer(path, headers, body)


def test_few_wait_for_a_provider_that_hangs(app: Flask, issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = Hanging(monkeypatch, issuer, "/.well-known/openid-configuration")
    with ThreadPoolExecutor(10) as browsers:
        asked = [browsers.submit(Browser(app).get, "/oidc/acme/sign-in") for _ in range(10)]
        # Then whoever is one too many is told at once
        refused = [one.result() for one in islice(as_completed(asked, timeout=30), 6)]
        assert [one.status_code for one in refused] == [503] * 6
        assert {one.headers["Retry-After"] for one in refused} == {"10"}
        # And who signs in elsewhere does not notice.
        assert Browser(app).get("/oidc/other/sign-in").status_code == 302
        hanging.end.set()
        assert sorted(one.result().status_code for one in asked) == [302] * 4 + [503] * 6
    assert hanging.asked == 1


def test_a_provider_that_was_silent_is_left_alone(
    app: Flask, issuer: Issuer, moment: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Browser(app), Browser(app)
    answers = [issuer.authorize(one.leave()) for one in (first, second)]
    monkeypatch.setattr(fetching, "_ANSWER_SECONDS", 0.2)
    hanging = Hanging(monkeypatch, issuer, "/token")
    assert first.return_with(answers[0]).status_code == 503
    # Then whoever comes next is told so without waiting
    assert second.return_with(answers[1]).status_code == 503
    assert hanging.asked == 1
    # And it passes.
    hanging.end.set()
    moment[0] += 10
    assert Browser(app).sign_in_at(issuer).status_code == 303


def test_what_a_provider_answers_to_one_keeps_nobody_else_from_asking(app: Flask, issuer: Issuer) -> None:
    issuer.answers["/token"] = Answered({}, 429)
    assert Browser(app).sign_in_at(issuer).status_code == 503
    issuer.answers.clear()
    assert Browser(app).sign_in_at(issuer).status_code == 303
