"""Which source wins, and that every value remembers the one that won."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lowtide.settings import load_settings
from lowtide.settings_load import SettingsError
from lowtide.settings_print import to_toml
from lowtide.settings_sources import Flag, Kind, find_file

# Settings of several types and depths, each with values that are valid and differ from the default.
VALUES: Mapping[str, st.SearchStrategy[object]] = {
    "data": st.sampled_from(["/a", "/b", "rel/c", "/with space"]),
    "loader.batch_requests": st.integers(1, 1000),
    "time_zone": st.sampled_from(["Europe/Berlin", "Asia/Tokyo"]),
    "log.level": st.sampled_from(["debug", "warning", "error"]),
    "api.port": st.integers(0, 65535).filter(lambda port: port != 8686),
    "api.docs": st.just(False),
    "collector.body_timeout_s": st.floats(0.5, 1e6).filter(lambda value: value != 30.0),
}
LAYERS = (Kind.FILE, Kind.ENVIRONMENT, Kind.FLAG)


@st.composite
def layers(draw: st.DrawFn) -> dict[Kind, dict[str, object]]:
    """For every source, some settings with some values."""
    return {
        kind: {name: draw(values) for name, values in VALUES.items() if draw(st.booleans())}
        for kind in LAYERS
    }


def write_toml(path: Path, values: Mapping[str, object]) -> None:
    path.write_text("".join(f"{name} = {to_toml(value)}\n" for name, value in values.items()))


def variable(name: str) -> str:
    return "LOWTIDE_" + name.replace(".", "__").upper()


def text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_written(value: object) -> str:
    """A loaded value and the value that was given, in one notation."""
    return text(getattr(value, "value", value))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(given=layers(), by_set=st.booleans())
def test_the_strongest_source_wins_and_is_remembered(
    given: dict[Kind, dict[str, object]], by_set: bool, tmp_path: Path
) -> None:
    file = tmp_path / "some.toml"
    write_toml(file, given[Kind.FILE])
    environ = {variable(name): text(value) for name, value in given[Kind.ENVIRONMENT].items()}
    flags = given[Kind.FLAG]
    overrides = [f"{name}={text(value)}" for name, value in flags.items()] if by_set else []
    options = [] if by_set else [Flag(f"--{name}", name, value) for name, value in flags.items()]

    def place(kind: Kind, name: str) -> str:
        line = list(given[Kind.FILE]).index(name) + 1 if kind is Kind.FILE else 0
        option = f"--set {name}" if by_set else f"--{name}"
        return {Kind.FILE: f"{file}:{line}", Kind.ENVIRONMENT: variable(name), Kind.FLAG: option}[kind]

    loaded = load_settings(file, environ=environ, overrides=overrides, flags=options)

    for setting, value, origin in loaded.rows():
        winner = next((kind for kind in reversed(LAYERS) if setting.name in given[kind]), None)
        if winner is None:
            assert value == setting.default
            assert origin.kind is Kind.DEFAULT
            continue
        assert as_written(value) == text(given[winner][setting.name])
        assert origin.kind is winner
        assert origin.place == place(winner, setting.name)


def test_a_commands_own_option_counts_more_than_set() -> None:
    loaded = load_settings(
        environ={}, overrides=["api.port=1", "api.port=2"], flags=[Flag("--api-port", "api.port", 3)]
    )

    assert loaded.settings.api.port == 3


def test_of_several_set_options_the_last_counts() -> None:
    assert load_settings(environ={}, overrides=["api.port=1", "api.port=2"]).settings.api.port == 2


def test_an_option_that_was_not_given_overrides_nothing() -> None:
    loaded = load_settings(environ={"LOWTIDE_API__PORT": "1"}, flags=[Flag("--api-port", "api.port", None)])

    assert loaded.settings.api.port == 1


def test_a_wrong_value_that_is_overridden_does_no_harm() -> None:
    loaded = load_settings(environ={"LOWTIDE_API__PORT": "many"}, flags=[Flag("--api-port", "api.port", 1)])

    assert loaded.settings.api.port == 1


class TestWhichFile:
    def test_the_named_one_else_the_one_here_else_the_users_own(self, tmp_path: Path) -> None:
        here, own = tmp_path / "here", tmp_path / "xdg"
        environ = {"XDG_CONFIG_HOME": str(own)}
        here.mkdir()
        assert find_file(None, here, environ) is None

        (own / "lowtide").mkdir(parents=True)
        (own / "lowtide" / "lowtide.toml").touch()
        assert find_file(None, here, environ) == own / "lowtide" / "lowtide.toml"

        (here / "lowtide.toml").touch()
        assert find_file(None, here, environ) == here / "lowtide.toml"
        assert find_file(tmp_path / "named.toml", here, environ) == tmp_path / "named.toml"

    def test_the_users_own_lies_under_home_by_default(self, tmp_path: Path) -> None:
        (tmp_path / ".config" / "lowtide").mkdir(parents=True)
        (tmp_path / ".config" / "lowtide" / "lowtide.toml").touch()

        found = find_file(None, tmp_path / "elsewhere", {"HOME": str(tmp_path)})

        assert found == tmp_path / ".config" / "lowtide" / "lowtide.toml"

    def test_a_relative_config_home_is_ignored(self, tmp_path: Path) -> None:
        """The XDG specification says so."""
        assert find_file(None, tmp_path, {"XDG_CONFIG_HOME": "relative"}) is None

    def test_the_file_in_the_working_directory_is_read(self, own_place: Path) -> None:
        (own_place / "lowtide.toml").write_text("api.port = 77\n")

        loaded = load_settings(environ={})

        assert loaded.settings.api.port == 77
        assert loaded.origins["api", "port"].place == "lowtide.toml:1"

    def test_a_named_file_that_is_missing_is_an_error(self) -> None:
        with pytest.raises(SettingsError, match=r"nowhere\.toml: cannot be read: No such file"):
            load_settings(Path("nowhere.toml"), environ={})


class TestListen:
    def test_the_collector_follows_the_common_address(self) -> None:
        loaded = load_settings(environ={"LOWTIDE_LISTEN": "::1"})

        assert loaded.settings.collector.listen == "::1"
        assert loaded.origins["collector", "listen"].kind is Kind.DERIVED

    def test_its_own_address_counts_more(self) -> None:
        loaded = load_settings(environ={"LOWTIDE_LISTEN": "::1", "LOWTIDE_COLLECTOR__LISTEN": "127.0.0.2"})

        assert (loaded.settings.listen, loaded.settings.collector.listen) == ("::1", "127.0.0.2")

    @pytest.mark.parametrize("address", ["0.0.0.0", "10.1.2.3", "::", "example.org", "::ffff:10.0.0.1"])  # noqa: S104 - refused
    def test_an_address_others_can_reach_is_refused(self, address: str) -> None:
        for environ in ({"LOWTIDE_LISTEN": address}, {"LOWTIDE_COLLECTOR__LISTEN": address}):
            with pytest.raises(SettingsError) as caught:
                load_settings(environ=environ)

            assert len(caught.value.problems) == 1
            assert str(caught.value).startswith(f"{next(iter(environ))}: ")
            assert "--insecure" in str(caught.value)
            assert load_settings(environ={**environ, "LOWTIDE_INSECURE": "true"}).settings.insecure

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
    def test_a_loopback_address_is_fine(self, address: str) -> None:
        assert load_settings(environ={"LOWTIDE_LISTEN": address}).settings.listen == address
