"""Settings are read once, and what cannot be honoured stops the start."""

import base64
import stat
from pathlib import Path

import pytest

from app.settings import InvalidSettings, load_settings


def test_without_a_database_it_is_the_embedded_one(tmp_path: Path) -> None:
    settings = load_settings({"KILN_HOME": str(tmp_path)})
    assert settings.embedded
    assert settings.seed_examples
    assert settings.database_url.startswith("postgresql://kiln@/kiln?host=")


def test_an_own_database_is_not_seeded_unless_asked(tmp_path: Path) -> None:
    environment = {"KILN_HOME": str(tmp_path), "DATABASE_URL": "postgres://me@db/kiln"}
    settings = load_settings(environment)
    assert (settings.embedded, settings.seed_examples) == (False, False)
    assert settings.database_url == "postgresql://me@db/kiln"
    assert load_settings(environment | {"KILN_SEED_EXAMPLES": "true"}).seed_examples


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("KILN_HOMES", "x"),
        ("PORT", "0"),
        ("PORT", "80a"),
        ("KILN_SEED_EXAMPLES", "yes"),
        ("KILN_LOG_LEVEL", "loud"),
        ("DATABASE_URL", "mysql://x"),
        ("KILN_SECRET_KEY", "short"),
        ("KILN_LEASE_SECONDS", "1"),
        ("KILN_MASTER_KEY", "short"),
        ("KILN_MASTER_KEY", "A" * 43 + "=,"),
        ("KILN_MASTER_KEY", "A" * 44),
    ],
)
def test_a_setting_that_cannot_be_honoured_stops_the_start(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(InvalidSettings, match=name):
        load_settings({"KILN_HOME": str(tmp_path), name: value})


def test_the_secret_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = (load_settings({"KILN_HOME": str(home)}).secret_key for _ in range(2))
    assert first == second
    assert len(first) >= 32
    assert stat.S_IMODE((home / "secret.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_the_master_key_is_made_once_and_is_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    first, second = (load_settings({"KILN_HOME": str(home)}).master_keys for _ in range(2))
    assert first == second
    assert [len(key) for key in first] == [32]
    assert stat.S_IMODE((home / "master.key").stat().st_mode) == 0o600


def test_a_master_key_is_put_before_the_one_that_was_made(tmp_path: Path) -> None:
    (made,) = load_settings({"KILN_HOME": str(tmp_path)}).master_keys
    path, new = tmp_path / "master.key", b"n" * 32
    path.write_text(f"{base64.b64encode(new).decode()}, {path.read_text()}\n")
    assert load_settings({"KILN_HOME": str(tmp_path)}).master_keys == (new, made)


def test_a_master_key_that_is_none_stops_the_start_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("a passphrase of somebody's")
    with pytest.raises(InvalidSettings, match=r"master\.key is 32 bytes in base64") as raised:
        load_settings({"KILN_HOME": str(tmp_path)})
    assert "passphrase" not in str(raised.value)


def test_secrets_are_left_out_where_settings_are_printed(tmp_path: Path) -> None:
    settings = load_settings({"KILN_HOME": str(tmp_path), "KILN_SECRET_KEY": "s" * 40, "KILN_ADMIN_PASSWORD": "hush"})
    assert "s" * 40 not in repr(settings)
    assert "hush" not in repr(settings)
    assert "master" not in repr(settings)
