"""Unknown names and wrong values: each is named with its place, and all of them at once."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from lowtide.cli.app import build
from lowtide.settings import load_settings
from lowtide.settings_load import Loaded, SettingsError, Sources, load


class Mode(StrEnum):
    FAST = "fast"
    SAFE = "safe"


class Inner(BaseModel):
    """A section inside a section."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    days: dict[str, int] = Field(default={"traces": 30}, description="Days each table is kept.")


class Store(BaseModel):
    """Where it is kept."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    low: int = Field(default=1, description="Lower mark, in bytes.")
    high: int = Field(default=2, description="Upper mark, in bytes.")
    password: SecretStr | None = Field(default=None, description="Password of the database.")
    names: list[str] = Field(default=[], description="Names.")
    pairs: tuple[tuple[float, int], ...] = Field(default=(), description="Pairs.")
    keep: Inner = Inner()

    @field_validator("names")
    @classmethod
    def _no_empty_name(cls, names: list[str]) -> list[str]:
        if "" in names:
            raise ValueError("a name is empty")
        return names

    @model_validator(mode="after")
    def _in_order(self) -> Store:
        if self.high < self.low:
            raise ValueError("high is below low")
        return self


class Small(BaseModel):
    """Everything."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mode: Mode = Field(default=Mode.SAFE, description="How.")
    ratio: float = Field(default=0.5, ge=0, description="Share of one.")
    path: Path | None = Field(default=None, description="Where.")
    store: Store = Store()


def small(
    text: str = "", tmp_path: Path | None = None, overrides: tuple[str, ...] = (), **environ: str
) -> Loaded[Small]:
    file = None
    if tmp_path is not None:
        file = tmp_path / "lowtide.toml"
        file.write_text(text)
    return load(Small, Sources(file, environ, overrides))


def problems(*args: object, **kwargs: object) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        small(*args, **kwargs)  # type: ignore[arg-type] - the test's own arguments, passed on
    return caught.value.problems


class TestUnknown:
    def test_a_key_in_a_file_names_the_line_and_the_closest_name(self, tmp_path: Path) -> None:
        (problem,) = problems('mode = "fast"\n\n[store]\nhigher = 3\n', tmp_path)

        assert (
            problem == f"{tmp_path}/lowtide.toml:4: no such setting: store.higher. Did you mean store.high?"
        )

    def test_a_section_in_a_file_is_named_once(self, tmp_path: Path) -> None:
        (problem,) = problems("[stor]\nhigh = 3\nlow = 1\n", tmp_path)

        assert problem.endswith("lowtide.toml:1: no such setting: stor. Did you mean store?")

    def test_a_key_that_belongs_to_another_section(self, tmp_path: Path) -> None:
        (problem,) = problems("password = 3\n", tmp_path)

        assert problem.endswith("Did you mean store.password?")

    def test_a_key_with_a_dot_is_shown_as_one_key(self, tmp_path: Path) -> None:
        (problem,) = problems('"store.high" = 3\n', tmp_path)

        assert 'no such setting: "store.high".' in problem

    def test_a_variable(self) -> None:
        (problem,) = problems(LOWTIDE_STORE__HIHG="3")

        assert problem == "LOWTIDE_STORE__HIHG: no such setting. Did you mean LOWTIDE_STORE__HIGH?"

    def test_a_variable_with_one_underscore(self) -> None:
        (problem,) = problems(LOWTIDE_STORE_HIGH="3")

        assert problem.endswith("Did you mean LOWTIDE_STORE__HIGH?")

    def test_nothing_like_it(self) -> None:
        (problem,) = problems(LOWTIDE_ZZZZZ="3")

        assert problem == "LOWTIDE_ZZZZZ: no such setting. See `lowtide config show` for all settings."

    def test_set(self) -> None:
        (problem,) = problems(overrides=("store.lwo=1",))

        assert problem == "--set store.lwo: no such setting: store.lwo. Did you mean store.low?"

    def test_set_of_a_section(self) -> None:
        (problem,) = problems(overrides=("store=1",))

        assert problem == "--set store: store is a section; name one of its settings, for example store.low."

    def test_set_without_a_value(self) -> None:
        (problem,) = problems(overrides=("store.low",))

        assert "write --set KEY=VALUE" in problem

    def test_a_section_given_a_value(self, tmp_path: Path) -> None:
        (problem,) = problems("store = 1\n", tmp_path)

        assert problem.endswith("lowtide.toml:1: store is a section; write its settings below [store].")

    def test_the_variable_of_the_test_data_is_no_setting(self) -> None:
        assert small(LOWTIDE_TEST_DATA="/data").settings == Small()

    def test_the_variables_of_options_are_no_settings(self) -> None:
        """A shell in which one is set must still start the server."""
        waiting, variables = [build()], set()
        while waiting:
            command = waiting.pop()
            waiting += getattr(command, "commands", {}).values()
            for option in command.params:
                named = option.envvar or ()
                variables |= {named} if isinstance(named, str) else set(named)

        assert variables
        for variable in variables:
            assert small(**{variable: "x"}).settings == Small()

    def test_what_is_wrong_in_one_of_several_tables_is_told_by_its_number(self, tmp_path: Path) -> None:
        jobs = "".join(f"[[scrape.jobs]]\n{job}\n" for job in (
            'name = "a"\ntargets = ["h:1"]\ninterval_s = 5', 'name = "b"\ntargets = ["h:1"]\nscheem = "http"',
            'targets = ["h:1"]', 'name = "d"', 'name = "e"\ntargets = ["h:1"]\ninterval_s = -5',
        ))  # fmt: skip
        (tmp_path / "lowtide.toml").write_text(jobs)
        with pytest.raises(SettingsError) as caught:
            load_settings(tmp_path / "lowtide.toml", environ={})

        assert [problem.partition(": ")[2] for problem in caught.value.problems] == [
            "scrape.jobs[1].scheem: there is no such key.",
            "scrape.jobs[2].name is not set and has no default.",
            "scrape.jobs[3]: targets or file_sd must say whom to scrape.",
            "scrape.jobs[4].interval_s: Input should be greater than or equal to 0.1, not -5.",
        ]

    def test_no_other_variable_is_let_through(self) -> None:
        assert problems(LOWTIDE_TEST_DATA2="/data")
        assert small(OTHER="1", lowtide_mode="fast").settings == Small()


class TestWrong:
    def test_a_value_in_a_file(self, tmp_path: Path) -> None:
        (problem,) = problems('[store]\nlow = "many"\n', tmp_path)

        assert problem == (
            f"{tmp_path}/lowtide.toml:2: store.low must be a whole number, not 'many'. Lower mark, in bytes."
        )

    def test_a_value_in_a_variable_names_its_bounds(self) -> None:
        (problem,) = problems(LOWTIDE_RATIO="-1")

        assert problem == "LOWTIDE_RATIO: ratio must be a number, at least 0, not '-1'. Share of one."

    def test_an_enumeration_names_its_members(self) -> None:
        (problem,) = problems(overrides=("mode=slow",))

        assert problem == "--set mode: mode must be one of fast, safe, not 'slow'. How."

    @pytest.mark.parametrize("text", ["inf", "-Infinity", "nan"])
    def test_numbers_are_finite(self, text: str, tmp_path: Path) -> None:
        assert "finite" in problems(LOWTIDE_RATIO=text)[0]
        assert "finite" in problems(f"ratio = {text.lower().replace('inity', '')}\n", tmp_path)[0]

    def test_a_rule_over_several_settings_names_every_place(self, tmp_path: Path) -> None:
        (problem,) = problems("store.low = 5\n", tmp_path, LOWTIDE_STORE__HIGH="4")

        assert problem == f"{tmp_path}/lowtide.toml:1, LOWTIDE_STORE__HIGH: store: high is below low."

    def test_something_inside_a_table_names_its_own_line(self, tmp_path: Path) -> None:
        (problem,) = problems("[store.keep.days]\ntraces = 3\nlogs = 'long'\n", tmp_path)

        assert problem.startswith(f"{tmp_path}/lowtide.toml:3: store.keep.days, at logs, must be a table")

    def test_something_inside_a_list_names_its_place(self) -> None:
        (problem,) = problems(LOWTIDE_STORE__PAIRS="[[1.0, 2], [1.5, 'x']]")

        assert "store.pairs, at 1.1, must be a list" in problem

    def test_what_a_validator_says_is_kept(self) -> None:
        (problem,) = problems(LOWTIDE_STORE__NAMES='["a", ""]')

        assert "store.names must be a list, each text, not ['a', ''] (a name is empty)" in problem

    def test_a_secret_is_not_repeated(self, tmp_path: Path) -> None:
        (problem,) = problems("store.password = 123456\n", tmp_path)

        assert "123456" not in problem

    def test_long_values_are_cut(self) -> None:
        assert len(problems(LOWTIDE_MODE="x" * 5000)[0]) < 200

    def test_a_file_that_is_no_toml(self, tmp_path: Path) -> None:
        (problem,) = problems("[store\n", tmp_path)

        assert problem.startswith(f"{tmp_path}/lowtide.toml: is not valid TOML: ")
        assert "line 1" in problem

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        (tmp_path / "binary").write_bytes(b"\xff\xfe")
        with pytest.raises(SettingsError, match="is not UTF-8 text"):
            load(Small, Sources(tmp_path / "binary", {}))

    def test_a_file_that_is_far_too_large(self, tmp_path: Path) -> None:
        (problem,) = problems("#" * 300_000, tmp_path)

        assert "larger than" in problem

    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
            load(Small, Sources(tmp_path, {}))

    def test_all_are_said_at_once(self, tmp_path: Path) -> None:
        found = problems(
            "modes = 1\nratio = 'x'\n", tmp_path, overrides=("store.low=x",), LOWTIDE_STORE__NOPE="1"
        )

        assert len(found) == 4
        with pytest.raises(SettingsError, match=r"(?s)^4 settings are wrong\.\n  .*\n  .*\n  .*\n  [^\n]*$"):
            small("modes = 1\nratio = 'x'\n", tmp_path, ("store.low=x",), LOWTIDE_STORE__NOPE="1")


class TestTexts:
    @pytest.mark.parametrize("written", ['["a", "b"]', "['a', 'b']", '[ "a",\n"b", ]'])
    def test_a_list_in_a_variable_is_json_or_toml(self, written: str) -> None:
        assert small(LOWTIDE_STORE__NAMES=written).settings.store.names == ["a", "b"]

    @pytest.mark.parametrize("written", ['{"logs": 3}', "{ logs = 3 }"])
    def test_a_table_in_a_variable_is_json_or_toml(self, written: str) -> None:
        assert small(LOWTIDE_STORE__KEEP__DAYS=written).settings.store.keep.days == {"logs": 3}

    def test_a_table_replaces_the_weaker_one_as_a_whole(self, tmp_path: Path) -> None:
        assert small("store.keep.days.logs = 3\n", tmp_path).settings.store.keep.days == {"logs": 3}

    def test_a_list_that_is_none_is_refused(self) -> None:
        assert "must be a list" in problems(LOWTIDE_STORE__NAMES="a, b")[0]

    def test_an_empty_variable_unsets_what_may_be_unset(self, tmp_path: Path) -> None:
        loaded = small("path = '/x'\n", tmp_path, LOWTIDE_PATH="")

        assert loaded.settings.path is None
        assert str(loaded.origins["path",]) == "LOWTIDE_PATH"

    def test_an_empty_variable_is_no_number(self) -> None:
        assert problems(LOWTIDE_RATIO="")


class TestRequired:
    def test_a_missing_one_is_named_with_its_variable(self) -> None:
        class Needs(BaseModel):
            key: str = Field(description="The key.")

        with pytest.raises(SettingsError, match="key is not set and has no default; set it as LOWTIDE_KEY"):
            load(Needs, Sources(None, {}))


def test_the_products_own_settings_are_frozen() -> None:
    loaded = load_settings(environ={})

    with pytest.raises(ValueError, match="frozen"):
        loaded.settings.api.port = 1  # type: ignore[misc] - that is the point


def test_another_currency_needs_its_rate() -> None:
    with pytest.raises(SettingsError, match=r"analytics\.exchange_rate"):
        load_settings(environ={"LOWTIDE_CURRENCY": "EUR"})

    loaded = load_settings(environ={"LOWTIDE_CURRENCY": "EUR", "LOWTIDE_ANALYTICS__EXCHANGE_RATE": "0.86"})
    assert loaded.settings.currency == "EUR"


def test_two_ports_of_ours_that_are_the_same_are_named_with_each_other() -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(environ={"LOWTIDE_API__PORT": "5000", "LOWTIDE_COLLECTOR__GRPC_PORT": "5000"})
    assert "api.port and collector.grpc_port are both 5000" in str(caught.value)
    with pytest.raises(SettingsError, match=r"api\.port and collector\.http_port are both 4318"):
        load_settings(environ={"LOWTIDE_API__PORT": "4318"})
    with pytest.raises(SettingsError, match=r"collector\.http_port and collector\.grpc_port are both 4317"):
        load_settings(environ={"LOWTIDE_COLLECTOR__HTTP_PORT": "4317"})


def test_the_same_port_on_other_addresses_is_another_port() -> None:
    given = {"LOWTIDE_API__PORT": "4318", "LOWTIDE_COLLECTOR__LISTEN": "127.0.0.2"}
    assert load_settings(environ=given).settings.api.port == 4318
    with pytest.raises(SettingsError, match="are both 4318"):
        load_settings(environ=given | {"LOWTIDE_COLLECTOR__LISTEN": "::", "LOWTIDE_INSECURE": "true"})


def test_any_free_port_may_be_asked_for_more_than_once() -> None:
    ports = ("LOWTIDE_API__PORT", "LOWTIDE_COLLECTOR__HTTP_PORT", "LOWTIDE_COLLECTOR__GRPC_PORT")
    assert load_settings(environ=dict.fromkeys(ports, "0")).settings.api.port == 0
