"""A scratch folder is this user's alone or there is none, and libraries get a home where there is none."""

import os
import tempfile
from pathlib import Path

import pytest

from models.scratch import home_folder, scratch_folder, settle_libraries

pytestmark = pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no owners here")
NOWHERE = "/dev/null/none"


@pytest.fixture
def shared(tmp_path, monkeypatch) -> Path:
    """In place of /tmp: everybody may write into it, and nobody can move what is somebody else's."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def told(monkeypatch):
    """told(home): the environment with this home, None for none at all; what is set in it is taken back."""

    def settled(home: str | None) -> dict[str, str]:
        monkeypatch.setattr(os, "environ", {key: os.environ[key] for key in os.environ if key != "MPLCONFIGDIR"})
        if home is None:
            monkeypatch.setattr(Path, "home", no_home)
        else:
            os.environ["HOME"] = home
        settle_libraries()
        return os.environ

    return settled


def no_home() -> Path:
    raise RuntimeError("Could not determine home directory.")


def test_it_is_made_for_its_user_alone_and_found_again(shared):
    folder = scratch_folder()
    assert folder == shared / f"exitbench-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert scratch_folder() == folder


@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_one_that_others_can_write_is_not_trusted(shared, mode):
    scratch_folder().chmod(mode)
    assert scratch_folder() is None


def test_one_of_somebody_elses_is_not_trusted(shared, monkeypatch):
    other = os.getuid() + 1
    (shared / f"exitbench-{other}").mkdir(mode=0o700)
    monkeypatch.setattr(os, "getuid", lambda: other)
    assert scratch_folder() is None


def test_a_link_and_a_file_are_not_trusted(shared, tmp_path):
    place = shared / f"exitbench-{os.getuid()}"
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    place.symlink_to(tmp_path / "elsewhere")
    assert scratch_folder() is None
    place.unlink()
    place.touch()
    assert scratch_folder() is None


def test_there_is_none_where_others_could_put_another_in_its_place(shared):
    shared.chmod(0o777)
    assert scratch_folder() is None


def test_there_is_none_without_a_temporary_folder(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", NOWHERE)
    assert scratch_folder() is None


def test_a_home_that_can_be_written_stays_as_it_is(shared, tmp_path, told):
    found = told(str(tmp_path))
    assert found["HOME"] == str(tmp_path)
    assert "MPLCONFIGDIR" not in found
    assert not list(shared.iterdir())


def test_a_home_that_can_only_be_read_stays_home_for_what_is_in_it(shared, tmp_path, told, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path) != tmp_path)
    found = told(str(tmp_path))
    assert found["HOME"] == str(tmp_path)
    assert Path(found["MPLCONFIGDIR"]).parent == scratch_folder()


@pytest.mark.parametrize("home", [None, NOWHERE])
def test_without_a_home_it_is_the_scratch_folder(shared, told, home):
    assert told(home)["HOME"] == str(scratch_folder())


def test_without_either_nothing_is_kept(told, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", NOWHERE)
    assert told(None)["HOME"] == os.devnull


def test_a_home_that_nobody_knows_is_none(monkeypatch):
    assert home_folder() == Path.home()
    monkeypatch.setattr(Path, "home", no_home)
    assert home_folder() is None
