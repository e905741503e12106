import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import make_url

from app.addresses import embedded_url, flower_socket, private_directory, socket_directory, socket_path


def test_the_address_of_a_home_needs_no_server_and_no_home(tmp_path: Path) -> None:
    home = Path("/srv/kiln/.kiln")
    assert socket_directory(home) == home / "run"
    assert embedded_url(home) == "postgresql://kiln@/kiln?host=/srv/kiln/.kiln/run&port=5432"
    assert not home.exists()


def test_a_long_path_or_one_that_libpq_would_split_has_a_short_directory() -> None:
    for home in (Path("/" + "long/" * 40), Path("/a,b"), Path("/with blank"), Path("/umlaut-ä")):
        directory = socket_directory(home)
        assert directory.parent == Path("/tmp")
        assert directory.name.startswith(f"kiln-{os.getuid()}-")
        assert len(os.fsencode(socket_path(home))) < 108
        assert len(os.fsencode(flower_socket(home))) < 108
        assert directory == socket_directory(home)
    assert socket_directory(Path("/a,b")) != socket_directory(Path("/a,c"))


def test_a_home_reached_through_a_link_has_the_same_address(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    assert socket_directory(tmp_path / "link" / "home") == socket_directory(tmp_path / "home")


def test_sqlalchemy_understands_the_url() -> None:
    url = make_url(embedded_url(Path("/srv/a+b"), "other"))
    assert (url.username, url.database, url.query["host"]) == ("kiln", "other", "/srv/a+b/run")


def test_a_private_directory_is_ours_alone(tmp_path: Path) -> None:
    directory = private_directory(tmp_path / "home" / "run")
    assert [stat.S_IMODE(path.stat().st_mode) for path in (directory, directory.parent)] == [0o700] * 2
    directory.chmod(0o755)
    assert stat.S_IMODE(private_directory(directory).stat().st_mode) == 0o700


def test_what_somebody_else_may_have_put_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(PermissionError, match="not a directory of ours"):
        private_directory(tmp_path / "link")
