"""Settings written down: TOML that loads again, the documentation page, and no secret anywhere."""

from __future__ import annotations

import tomllib
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from lowtide.settings import Settings, load_settings
from lowtide.settings_load import Sources, load
from lowtide.settings_print import as_markdown, as_toml, shown_value, to_toml

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.recursive(
    TEXT | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_toml_notation_reads_back(value: object) -> None:
    assert tomllib.loads(f"v = {to_toml(value)}")["v"] == value


def test_toml_has_no_notation_for_anything_else() -> None:
    with pytest.raises(TypeError, match="object"):
        to_toml(object())


class Everything(BaseModel):
    """One field of each kind that a package may use."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = Field(default="", description="Text.")
    path: Path = Field(default=Path(), description="Path.")
    zone: ZoneInfo = Field(default=ZoneInfo("UTC"), description="Zone.")
    address: IPv4Address = Field(default=IPv4Address(0), description="Address.")
    share: Decimal = Field(default=Decimal(0), description="Share.")
    every: timedelta = Field(default=timedelta(0), description="Interval.")
    steps: tuple[tuple[float, int], ...] = Field(default=(), description="Steps.")
    days: dict[str, int] = Field(default={}, description="Days.")
    maybe: int | None = Field(default=None, description="Perhaps.")


class Root(BaseModel):
    """The whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: Everything = Everything()
    name: str = Field(default="", description="Declared after a section; written before it.")
    second: Everything = Everything()


EVERYTHING = st.builds(
    Everything,
    text=TEXT,
    path=TEXT.filter(lambda text: "\0" not in text).map(Path),
    zone=st.sampled_from(["UTC", "Europe/Berlin"]).map(ZoneInfo),
    address=st.ip_addresses(v=4),
    share=st.decimals(0, 1, places=12),
    every=st.timedeltas(timedelta(0), timedelta(days=400)),
    steps=st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 9)), max_size=3).map(tuple),
    days=st.dictionaries(TEXT, st.integers(0, 400), max_size=3),
    maybe=st.none() | st.integers(0, 9),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(original=st.builds(Root, first=EVERYTHING, name=TEXT, second=EVERYTHING), origins=st.booleans())
def test_shown_as_toml_and_loaded_again_they_are_the_same(
    original: Root, origins: bool, tmp_path: Path
) -> None:
    file = tmp_path / "lowtide.toml"
    loaded = load(Root, Sources(None, {}))
    written = as_toml(type(loaded)(original, loaded.origins, loaded.tree, None), origins=origins)
    file.write_text(written, encoding="utf-8")

    assert load(Root, Sources(file, {})).settings == original


def test_the_products_defaults_survive_the_way(tmp_path: Path) -> None:
    loaded = load_settings(environ={"LOWTIDE_LISTEN": "::1", "LOWTIDE_TIME_ZONE": "Asia/Tokyo"})
    (tmp_path / "copy.toml").write_text(as_toml(loaded))

    assert load_settings(tmp_path / "copy.toml", environ={}).settings == loaded.settings


class Secretive(BaseModel):
    """Secrets under honest names."""

    password: SecretStr | None = Field(default=None, description="A secret.")
    api_token: str = Field(default="", description="Another, as plain text.")
    url: str = Field(default="", description="An address that may hold one.")


ENVIRON = {
    "LOWTIDE_PASSWORD": "hunter2-one",
    "LOWTIDE_API_TOKEN": "hunter2-two",
    "LOWTIDE_URL": "clickhouse://someone:hunter2-three@db:8123/x",
}


def test_secrets_are_hidden_wherever_they_are_shown() -> None:
    loaded = load(Secretive, Sources(None, ENVIRON))
    shown = [shown_value(setting, value) for setting, value, _ in loaded.rows()]
    written = as_toml(loaded, origins=True)

    assert as_toml(load(Secretive, Sources(None, {}))) == '# password is not set\napi_token = ""\nurl = ""\n'
    assert shown == ["********", "********", "clickhouse://someone:********@db:8123/x"]
    assert "hunter2" not in written
    assert "# password is set (from LOWTIDE_PASSWORD); it holds a secret, which is not printed" in written
    assert tomllib.loads(written) == {}


def test_the_page_of_the_documentation_is_up_to_date() -> None:
    """Write it anew with: lowtide config docs > docs/settings.md"""
    assert DOCS.read_text(encoding="utf-8") == as_markdown(Settings)


def test_the_page_names_every_setting() -> None:
    page = as_markdown(Settings)

    for setting, _, _ in load_settings(environ={}).rows():
        assert f"### `{setting.name}`" in page
        assert f"`{setting.variable}`" in page
        assert setting.description in page


def test_large_sizes_are_readable() -> None:
    assert "`67108864` (64 MiB)" in as_markdown(Settings)


def test_the_page_lists_every_source_as_an_item() -> None:
    begin = DOCS.read_text(encoding="utf-8").partition("weakest first:")[2].partition("A list or table")[0]
    items = [line[:2] for line in begin.splitlines() if line and not line.startswith("   ")]
    assert items == ["1.", "2.", "3.", "4."]
