"""What counts as a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from lowtide.logs import redact
from lowtide.redaction import hide_in_text, is_secret_name
from lowtide.settings import load_settings
from lowtide.settings_load import SettingsError
from lowtide.settings_print import as_toml, shown_value
from lowtide.store_access import target_of


@pytest.mark.parametrize(
    "name",
    [
        "authorization",
        "Authorization",
        "proxy-authorization",
        "token",
        "access_token",
        "password",
        "passwd",
        "db_password",
        "set-cookie",
        "Cookie",
        "api_key",
        "x-api-key",
        "apikey",
        "client_secret",
        "private_key",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["name", "key", "keys", "author", "insert_deduplication_token", "dedup_token", "token_count", "passed"],
)
def test_names_of_other_things(name: str) -> None:
    assert not is_secret_name(name)


@pytest.mark.parametrize(
    ("text", "hidden"),
    [
        ("clickhouse://me:s3cret@db:8123/x", "clickhouse://me:********@db:8123/x"),
        ("see http://:pw@h and http://h:80/", "see http://:********@h and http://h:80/"),
        ("Authorization: Bearer abc.def-ghi_jkl", "Authorization: Bearer ********"),
        ("basic dXNlcjpwYXNz", "basic ********"),
        ("http://127.0.0.1:8686/a", "http://127.0.0.1:8686/a"),
        ("mail a@b about http://127.0.0.1:8686/", "mail a@b about http://127.0.0.1:8686/"),
        ("clickhouse://me@db:8123/x", "clickhouse://me@db:8123/x"),
        ("clickhouse://u:p@ss@h", "clickhouse://u:********@h"),
        ("clickhouse://u:sec ret@h", "clickhouse://u:********@h"),
        ("clickhouse://u:sec/ret@h", "clickhouse://u:********@h"),
        ("clickhouse://u:sec\nret@h", "clickhouse://u:********@h"),
        ("clickhouse://me@corp:pw@h", "clickhouse://me@corp:********@h"),
        (
            "first http://h/x, then http://u:p/w@h\nand a@b",
            "first http://h/x, then http://u:********@h\nand a@b",
        ),
        # A password may begin like a port, so rather too much is hidden than too little.
        ("http://127.0.0.1:8686/a@b", "http://127.0.0.1:********@b"),
        ("a bearer of news", "a bearer of news"),
    ],
)
def test_secrets_inside_texts(text: str, hidden: str) -> None:
    assert hide_in_text(text) == hidden


PASSWORDS = st.text(min_size=4) | st.text("@:/?#[]%=& \n\t'\"\\\u2100ab1", min_size=4)
ADDRESSES = st.sampled_from(
    [
        "clickhouse://u:{}@h",
        "clickhouses://u:{}@h:8443/lowtide",
        "clickhouse://me@corp:{}@h",
        "clickhouse://u:{}@h:port",
        "clickhouse://u:{}@h/no-name?a=b#c",
        "clickhous://u:{}@h",
        "u:{}@h",
    ]
)
WAYS: dict[str, Callable[[str, Path], dict[str, Any]]] = {
    "variable": lambda url, _: {"environ": {"LOWTIDE_STORE__URL": url}},
    "--set": lambda url, _: {"environ": {}, "overrides": [f"store.url={url}"]},
    "--set without =": lambda url, _: {"environ": {}, "overrides": [f"store.url:{url}"]},
    "file": lambda url, folder: {"environ": {}, "config": written(url, folder)},
}


def written(url: str, folder: Path) -> Path:
    path = folder / "mine.toml"
    path.write_text(f"[store]\nurl = {json.dumps(url)}\n".replace("\x7f", "\\u007f"))
    return path


def told(way: dict[str, Any]) -> str:
    """All that the commands say about settings: `config show` in its formats, or what is wrong."""
    try:
        loaded = load_settings(**way)
    except SettingsError as error:
        return str(error)
    shown = [shown_value(setting, value) for setting, value, _ in loaded.rows()]
    return "\n".join(
        [*shown, as_toml(loaded), as_toml(loaded, origins=True), str(target_of(loaded.settings))]
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=200)
@given(word=PASSWORDS, address=ADDRESSES, way=st.sampled_from(sorted(WAYS)))
@example(word="p@ss", address="clickhouse://u:{}@h", way="variable")
@example(word="sec ret", address="clickhouse://u:{}@h", way="file")
@example(word="sec/ret", address="clickhouse://u:{}@h", way="--set")
@example(word="sec=ret", address="clickhouse://u:{}@h", way="--set without =")
@example(word="sec\u2100ret", address="clickhouse://u:{}@h", way="variable")
@example(word="secret", address="u:{}@h", way="variable")
def test_no_password_of_the_store_is_ever_told(word: str, address: str, way: str, own_place: Path) -> None:
    if way == "file":
        assume(not any(0xD800 <= ord(c) <= 0xDFFF for c in word))
    said = told(WAYS[way](address.format(word), own_place))

    assume(word not in told(WAYS[way](address.format("*"), own_place)))
    assume(word not in told(WAYS[way]("no store", own_place)))
    assert word not in said
    assert repr(word)[1:-1] not in said
    assert json.dumps(word)[1:-1] not in said


def test_what_stands_where_the_port_belongs_is_not_told() -> None:
    """The host was forgotten."""
    assert "secret" not in told({"environ": {"LOWTIDE_STORE__URL": "clickhouse://u:secret"}})


@given(word=PASSWORDS, host=st.sampled_from(["h", "h:8123/x", "h/x?y=z"]))
def test_no_password_of_an_address_is_logged(word: str, host: str) -> None:
    url = f"clickhouse://u:{word}@{host}"
    line = url.replace("\n", "")
    assume(word not in f"clickhouse://u:********@{host} cannot be reached")

    event = redact(
        None, "", {"event": f"{line} cannot be reached", "at": url, "why": ValueError(f"no {line}")}
    )

    assert not any(word in str(value) for value in event.values())
    assert event["at"] == f"clickhouse://u:********@{host}"
