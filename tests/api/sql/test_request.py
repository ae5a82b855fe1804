"""What a request means: statement, parameters, format, and what is ignored."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.sql.errors import SqlRequestError
from api.sql.request import SqlRequest, read_request


def read(
    url: Mapping[str, str] | None = None, body: bytes = b"", headers: Mapping[str, str] | None = None
) -> SqlRequest:
    return read_request(url or {}, headers or {}, body, database="lowtide")


def form(*parts: tuple[str, str]) -> tuple[bytes, dict[str, str]]:
    lines = [
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in parts
    ]
    return "".join([*lines, "--x--\r\n"]).encode(), {"content-type": "multipart/form-data; boundary=x"}


class TestStatement:
    def test_from_the_body(self) -> None:
        assert read(body="SELECT 'é'".encode()).statement == "SELECT 'é'"

    def test_from_the_url(self) -> None:
        assert read({"query": "SELECT 1"}).statement == "SELECT 1"

    def test_from_both_in_that_order(self) -> None:
        assert read({"query": "SELECT"}, b"1").statement == "SELECT\n1"

    def test_from_a_form(self) -> None:
        body, headers = form(("query", "SELECT {x:String}"), ("param_x", "é"))

        found = read({"default_format": "CSV"}, body, headers)

        assert (found.statement, found.params, found.format) == ("SELECT {x:String}", {"x": "é"}, "CSV")

    def test_that_is_not_utf8(self) -> None:
        with pytest.raises(SqlRequestError, match="not UTF-8"):
            read(body=b"SELECT '\xff'")


class TestForm:
    def test_with_a_file_is_refused(self) -> None:
        body = b'--x\r\nContent-Disposition: form-data; name="t"; filename="t.csv"\r\n\r\n1\r\n--x--\r\n'

        with pytest.raises(SqlRequestError, match="External data") as refused:
            read({}, body, {"content-type": "multipart/form-data; boundary=x"})

        assert refused.value.code == 48

    def test_with_too_many_parts_is_refused(self) -> None:
        with pytest.raises(SqlRequestError, match="cannot be read"):
            read({}, *form(*((f"param_x{n}", "") for n in range(1001))))

    @pytest.mark.parametrize(
        "kind", ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=y"]
    )
    def test_without_its_boundary_is_refused(self, kind: str) -> None:
        with pytest.raises(SqlRequestError):
            read({}, form(("query", "SELECT 1"))[0], {"content-type": kind})

    @given(st.binary(max_size=300))
    def test_of_any_bytes_is_read_or_refused(self, body: bytes) -> None:
        try:
            found = read({}, b"--x\r\n" + body, {"content-type": "multipart/form-data; boundary=x"})
        except SqlRequestError:
            return
        assert isinstance(found.statement, str)


class TestParameters:
    def test_are_taken_by_name(self) -> None:
        assert read({"param_a": "1", "param_b_2": "x'y", "parama": "3"}).params == {"a": "1", "b_2": "x'y"}

    @pytest.mark.parametrize("name", ["param_", "param_1", "param_a-b", "param_a b", "param_" + "x" * 200])
    def test_with_other_names_are_not(self, name: str) -> None:
        assert read({name: "1"}).params == {}


class TestRest:
    def test_settings_are_ignored_and_named(self) -> None:
        found = read(
            {"max_threads": "64", "readonly": "0", "session_id": "s", "param_x": "1", "max_rows_to_read": "0"}
        )

        assert found.ignored == ("max_rows_to_read", "max_threads")

    def test_names_that_are_none_are_not_repeated(self) -> None:
        assert read({"a\r\nSet-Cookie: x": "1"}).ignored == ()

    @pytest.mark.parametrize(
        ("url", "headers", "wanted"),
        [
            ({}, {}, "TabSeparated"),
            ({"default_format": "CSV"}, {"x-clickhouse-format": "JSON"}, "CSV"),
            ({}, {"x-clickhouse-format": "JSON"}, "JSON"),
        ],
    )
    def test_format(self, url: dict[str, str], headers: dict[str, str], wanted: str) -> None:
        assert read(url, b"", headers).format == wanted

    @pytest.mark.parametrize("name", ["", "lowtide", "default"])
    def test_databases_that_may_be_chosen(self, name: str) -> None:
        assert read({"database": name}, b"SELECT 1").statement == "SELECT 1"

    @pytest.mark.parametrize(
        ("url", "headers"), [({"database": "system"}, {}), ({}, {"x-clickhouse-database": "x"})]
    )
    def test_others_are_refused(self, url: dict[str, str], headers: dict[str, str]) -> None:
        with pytest.raises(SqlRequestError, match="cannot be chosen") as refused:
            read(url, b"", headers)

        assert refused.value.code == 81

    @pytest.mark.parametrize("name", ["compress", "decompress"])
    def test_the_own_framing_of_clickhouse_is_refused(self, name: str) -> None:
        assert read({name: "0"}, b"SELECT 1").statement
        with pytest.raises(SqlRequestError, match="Accept-Encoding"):
            read({name: "1"}, b"SELECT 1")

    @pytest.mark.parametrize(
        ("given_id", "taken"), [("a-1", "a-1"), ("a\nb", None), ("", None), ("x" * 129, None)]
    )
    def test_query_ids(self, given_id: str, taken: str | None) -> None:
        assert read({"query_id": given_id}).query_id == taken

    def test_compression_may_be_declined(self) -> None:
        assert read().compression_allowed
        assert not read({"enable_http_compression": "0"}).compression_allowed
