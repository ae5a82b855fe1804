"""The file in which tokens are kept: private, whole at every moment, and changed by one command at a time."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lowtide.tokens.errors import TokenFileError
from lowtide.tokens.file import (
    FILE_NAME,
    change_tokens,
    read_tokens,
    read_use,
    stamp_of,
    write_private,
    write_use,
)
from lowtide.tokens.token import Scope, id_of
from support import tokens

ROOT = Path(__file__).parents[2]
MAKING = """
import sys
from pathlib import Path
from lowtide.tokens.token import Scope
from support import tokens
for _ in range(int(sys.argv[2])):
    print(tokens.make(Path(sys.argv[1]), Scope.READ))
"""


def making(data: Path, count: int) -> subprocess.Popen[str]:
    """A process that makes so many tokens and prints them."""
    return subprocess.Popen(
        [sys.executable, "-c", MAKING, str(data), str(count)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))},
        stdout=subprocess.PIPE,
        text=True,
    )


def written(facts: str) -> bytes:
    """A file with one token, with these facts about it."""
    rest = '"id": "a", "name": "n", "tenant": "t", "sha256": "", "expires_at": null, "revoked_at": null'
    return f'{{"version": 1, "tokens": [{{{rest}, {facts}}}]}}'.encode()


def test_what_was_made_is_read(tmp_path: Path) -> None:
    end = datetime(2030, 1, 1, tzinfo=UTC)
    text = tokens.make(tmp_path, Scope.READ, Scope.QUERY, tenant="acme", expires_at=end)

    (found,) = read_tokens(tmp_path)

    assert (found.id, found.tenant, found.expires_at) == (id_of(text), "acme", end)
    assert found.scopes == {Scope.READ, Scope.QUERY}
    assert found.revoked_at is None


def test_there_may_be_none(tmp_path: Path) -> None:
    assert read_tokens(tmp_path / "nowhere") == ()
    assert stamp_of(tmp_path / "nowhere") is None


def test_neither_the_token_nor_its_secret_is_in_it(tmp_path: Path) -> None:
    text = tokens.make(tmp_path, Scope.READ)

    content = (tmp_path / FILE_NAME).read_text()

    assert text.rpartition("_")[2] not in content


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        tokens.make(tmp_path / "data", Scope.READ)
        write_use(tmp_path / "data", {"a": datetime.now(UTC)})
    finally:
        os.umask(before)

    for file in (tmp_path / "data").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


def test_commands_take_turns(tmp_path: Path) -> None:
    """Four processes make tokens at the same time; none is lost."""
    processes = [making(tmp_path, 15) for _ in range(4)]
    made = {line for process in processes for line in process.communicate()[0].splitlines()}

    assert [process.returncode for process in processes] == [0] * 4
    assert len(made) == 60
    assert {token.id for token in read_tokens(tmp_path)} == {id_of(text) for text in made}


def test_a_reader_sees_it_before_or_after_but_never_half(tmp_path: Path) -> None:
    tokens.make(tmp_path, Scope.READ)
    process = making(tmp_path, 40)
    counts = [len(read_tokens(tmp_path))]
    while process.poll() is None:
        counts.append(len(read_tokens(tmp_path)))
    process.communicate()

    assert counts == sorted(counts)
    assert len(read_tokens(tmp_path)) == 41


def test_a_replacement_is_noticed(tmp_path: Path) -> None:
    seen = set()
    for _ in range(20):
        tokens.make(tmp_path, Scope.READ)
        seen.add(stamp_of(tmp_path))

    assert len(seen) == 20


def test_a_change_that_fails_changes_nothing(tmp_path: Path) -> None:
    tokens.make(tmp_path, Scope.READ)
    before = (tmp_path / FILE_NAME).read_bytes()

    def fail(_: object) -> list[object]:
        raise KeyError("no")

    with pytest.raises(KeyError):
        change_tokens(tmp_path, fail)  # type: ignore[arg-type]  # it returns nothing

    assert (tmp_path / FILE_NAME).read_bytes() == before
    tokens.make(tmp_path, Scope.READ)  # and the lock is free


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"version": 2, "tokens": []}',
        b'{"version": 1}',
        b'{"version": 1, "tokens": [{}]}',
        written('"scopes": ["all"], "created_at": "2026-01-01T00:00:00Z"'),
        written('"scopes": [], "created_at": "2026-01-01T00:00:00"'),
    ],
)
def test_a_damaged_file_is_an_error_and_not_an_empty_one(tmp_path: Path, content: bytes) -> None:
    write_private(tmp_path / FILE_NAME, content)

    with pytest.raises(TokenFileError, match="damaged"):
        read_tokens(tmp_path)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    tokens.make(tmp_path, Scope.READ)
    (tmp_path / FILE_NAME).chmod(mode)

    with pytest.raises(TokenFileError, match="others than its owner"):
        read_tokens(tmp_path)


def test_such_a_file_is_otherwise_fine(tmp_path: Path) -> None:
    write_private(tmp_path / FILE_NAME, written('"scopes": ["read"], "created_at": "2026-01-01T00:00:00Z"'))

    assert read_tokens(tmp_path)[0].scopes == {Scope.READ}


def test_a_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(TokenFileError, match="cannot be read"):
        read_tokens(tmp_path)
    with pytest.raises(TokenFileError):
        tokens.make(tmp_path, Scope.READ)


def test_the_last_use_is_kept_apart(tmp_path: Path) -> None:
    at = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
    write_use(tmp_path, {"a": at})

    assert read_use(tmp_path) == {"a": at}
    write_private(tmp_path / "tokens.used.json", b"{nonsense")
    assert read_use(tmp_path) == {}
