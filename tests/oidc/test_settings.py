"""The file of providers is read to the last key, and what cannot be honoured stops the start."""

from pathlib import Path

import pytest

from app.settings import InvalidSettings, Settings, load_settings

LEAST = 'issuer = "https://id.example.org"\nclient_id = "kiln"\nclient_secret = "hush-hush"\n'
ACME = f"[acme]\n{LEAST}"
HTTPS = {"KILN_PUBLIC_URL": "https://kiln.example.org"}


def load(tmp_path: Path, text: str, **more: str) -> Settings:
    """Settings with a file of providers."""
    path = tmp_path / "providers.toml"
    path.write_text(text)
    return load_settings({"KILN_HOME": str(tmp_path / "home"), "KILN_OIDC_PROVIDERS": str(path)} | more)


def test_the_least_is_enough(tmp_path: Path) -> None:
    (one,) = load(tmp_path, ACME).oidc_providers
    assert (one.name, one.label, one.issuer) == ("acme", "acme", "https://id.example.org")
    assert one.scopes == ("openid", "email", "profile")
    assert (one.may_join, one.groups_claim, one.groups, one.required_groups) == (False, None, {}, frozenset())


def test_everything_can_be_said(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("hush-hush\n")
    (one,) = load(
        tmp_path,
        '[acme]\nissuer = "https://id.example.org/"\nclient_id = "kiln"\nclient_secret_file = "secret"\n'
        'label = "Acme Inc."\nscopes = ["openid", "groups"]\ngroups_claim = "roles"\nmay_join = true\n'
        'required_groups = ["staff"]\n[acme.groups]\n"/there/readers" = "readers"\n',
    ).oidc_providers
    assert (one.client_secret, one.label, one.scopes) == ("hush-hush", "Acme Inc.", ("openid", "groups"))
    assert one.issuer == "https://id.example.org/"
    assert (one.groups_claim, one.groups, one.may_join) == ("roles", {"/there/readers": "readers"}, True)
    assert one.required_groups == {"staff"}


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert load_settings({"KILN_HOME": str(tmp_path)}).oidc_providers == ()


def test_secrets_are_left_out_where_settings_are_printed(tmp_path: Path) -> None:
    assert "hush-hush" not in repr(load(tmp_path, ACME))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[acme", "not TOML"),
        ('acme = "https://id.example.org"', "acme. is not a key"),
        (f"[Acme]\n{LEAST}", "'Acme' is no name"),
        (f'["a/b"]\n{LEAST}', "'a/b' is no name"),
        (f"{ACME}issuers = 1", "acme.issuers is not a key"),
        (f"{ACME}may_join = 1", "acme.may_join is either true or false"),
        (f'{ACME}may_join = "true"', "acme.may_join is either true or false"),
        (f'{ACME}label = ""', "acme.label is text of one line"),
        (f"{ACME}label = 7", "acme.label is text of one line"),
        (f'{ACME}scopes = "openid"', "acme.scopes is a list of text"),
        (f'{ACME}scopes = ["email"]', "acme.scopes has openid among its words"),
        (f'{ACME}scopes = ["openid email"]', "acme.scopes has openid among its words"),
        (f'{ACME}groups_claim = ["groups"]', "acme.groups_claim is text"),
        (f'{ACME}groups_claim = "groups"\ngroups = ["readers"]', "acme.groups is a table"),
        (f'{ACME}groups_claim = "groups"\ngroups = {{readers = 1}}', "acme.groups is text"),
        (f'{ACME}groups = {{readers = "readers"}}', "acme.groups_claim is missing"),
        (f'{ACME}required_groups = ["staff"]', "acme.groups_claim is missing"),
        (f'{ACME}groups_claim = "groups"\nrequired_groups = []', "acme.required_groups is a list of text"),
        (ACME.replace("issuer", "label"), "acme.issuer is missing"),
        (ACME.replace("client_id", "label"), "acme.client_id is missing"),
        (ACME.replace("client_secret", "label"), "acme.client_secret is missing"),
        (f'{ACME}client_secret_file = "secret"', "acme has both client_secret and client_secret_file"),
        (
            ACME.replace("client_secret", "client_secret_file"),
            "acme.client_secret_file names a file that has no secret",
        ),
        (ACME.replace("https:", "http:"), "acme.issuer is an address with https"),
        (ACME.replace("example.org", "example.org/?tenant=1"), "acme.issuer is an address with https"),
        (ACME.replace("example.org", "example.org/#1"), "acme.issuer is an address with https"),
        (ACME.replace("https://", "https://me@"), "acme.issuer is an address with https"),
        (ACME.replace("id.example.org", ""), "acme.issuer is an address with https"),
        (ACME.replace("https://id.example.org", "id.example.org"), "acme.issuer is an address with https"),
        (f"{ACME}[other]\n{LEAST}", "more than one provider has the issuer"),
    ],
)
def test_what_cannot_be_honoured_stops_the_start(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(InvalidSettings) as raised:
        load(tmp_path, text)
    assert str(raised.value).startswith("KILN_OIDC_PROVIDERS names ")
    assert sentence in str(raised.value)
    assert "hush-hush" not in str(raised.value)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match="which cannot be read: No such file"):
        load_settings({"KILN_HOME": str(tmp_path), "KILN_OIDC_PROVIDERS": str(tmp_path / "none.toml")})


@pytest.mark.parametrize("more", [{"KILN_BIND": "192.0.2.1"}, {"KILN_PUBLIC_URL": "http://kiln.example.org"}])
def test_providers_send_nobody_back_without_https(tmp_path: Path, more: dict[str, str]) -> None:
    with pytest.raises(InvalidSettings, match="KILN_OIDC_PROVIDERS needs KILN_PUBLIC_URL with https"):
        load(tmp_path, ACME, **more)


@pytest.mark.parametrize(
    ("more", "base"),
    [
        (HTTPS, "https://kiln.example.org"),
        ({"KILN_BIND": "::1", "PORT": "9000"}, "http://[::1]:9000"),
        ({}, "http://127.0.0.1:8000"),
    ],
)
def test_where_people_come_back_to(tmp_path: Path, more: dict[str, str], base: str) -> None:
    assert load(tmp_path, ACME, **more).base_url == base
