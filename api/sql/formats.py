"""The formats in which answers may be asked for, with the content types that ClickHouse gives them. Asked by
the guard and the router.

Left out on purpose: formats that need a schema or a template from a file (Protobuf, Template, CapnProto),
those of other wire protocols, pictures, and those that write progress between the rows.
"""

from __future__ import annotations

from typing import Final

from api.sql.errors import SqlRequestError

DEFAULT_FORMAT: Final = "TabSeparated"
_TSV: Final = "text/tab-separated-values; charset=UTF-8"
_CSV: Final = "text/csv; charset=UTF-8"
_JSON: Final = "application/json; charset=UTF-8"
_NDJSON: Final = "application/x-ndjson; charset=UTF-8"
_TEXT: Final = "text/plain; charset=UTF-8"
_BYTES: Final = "application/octet-stream"
_HEADERS: Final = ("", "WithNames", "WithNamesAndTypes")


def _formats() -> dict[str, str]:
    known: dict[str, str] = {}
    for stem in ("TabSeparated", "TSV", "TabSeparatedRaw", "TSVRaw"):
        known |= {f"{stem}{header}": _TSV for header in _HEADERS}
    known |= {f"CSV{header}": f"{_CSV}; header={'present' if header else 'absent'}" for header in _HEADERS}
    for stem in ("JSONCompactEachRow", "JSONCompactStringsEachRow"):
        known |= {f"{stem}{header}": _NDJSON for header in _HEADERS}
    known |= dict.fromkeys(("JSONEachRow", "JSONLines", "JSONL", "NDJSON", "JSONStringsEachRow"), _NDJSON)
    known |= dict.fromkeys(
        (
            "JSON", "JSONStrings", "JSONCompact", "JSONCompactStrings", "JSONColumns", "JSONCompactColumns",
            "JSONColumnsWithMetadata", "JSONObjectEachRow", "PrettyJSONEachRow", "PrettyJSONLines",
            "PrettyNDJSON",
        ),
        _JSON,
    )  # fmt: skip
    known |= {f"RowBinary{header}": _BYTES for header in _HEADERS}
    for stem in ("Pretty", "PrettyCompact", "PrettySpace"):
        known |= {
            f"{stem}{escapes}": _TEXT for escapes in ("", "NoEscapes", "MonoBlock", "NoEscapesMonoBlock")
        }
    known |= dict.fromkeys(("Vertical", "Markdown", "MD", "TSKV", "Values", "LineAsString"), _TEXT)
    known |= dict.fromkeys(
        ("Native", "Arrow", "ArrowStream", "Parquet", "ORC", "Avro", "MsgPack", "RawBLOB"), _BYTES
    )
    known["XML"] = "application/xml; charset=UTF-8"
    known["Null"] = _TEXT
    return known


CONTENT_TYPES: Final = _formats()
"""Content type by format."""
_BY_LOWER: Final = {name.lower(): name for name in CONTENT_TYPES}


def known_format(name: str) -> str:
    """The format as ClickHouse spells it. Raises SqlRequestError (73) for one that is not offered."""
    found = _BY_LOWER.get(name.lower())
    if found is None:
        raise SqlRequestError(f"Format {name[:64]} is not offered here", 73, "UNKNOWN_FORMAT")
    return found
