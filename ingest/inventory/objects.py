"""One object of Kubernetes: what is kept of it, or what is wrong with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import orjson

from ingest.inventory.documents import Item
from ingest.inventory.fields import Each, Shape, Wrong, flag, moment, read_moment, take, text
from ingest.inventory.kinds import ANNOTATIONS, KINDS, NEVER_KEPT

_METADATA: Final[Shape] = {
    "name": text,
    "namespace": text,
    "uid": text,
    "creationTimestamp": moment,
    "labels": Each(text),
    "annotations": ANNOTATIONS,
    "ownerReferences": [{"kind": text, "name": text, "controller": flag}],
}
_LIST: Final = "List"


@dataclass(frozen=True, slots=True)
class KubernetesObject:
    """What is kept. `extract` is JSON: annotations, spec, status and the like, as far as `kinds` names
    them."""

    group: str
    version: str
    kind: str
    namespace: str
    name: str
    uid: str
    created_at: datetime | None
    labels: dict[str, str]
    owner_kind: str
    """Of the controller that made it; empty if none did."""
    owner_name: str
    extract: str


@dataclass(frozen=True, slots=True)
class NotKept:
    """An object of a kind of which nothing is kept."""

    group: str
    kind: str


class BadObjectError(Exception):
    """An object that is none; each problem has the object and the field."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems


def read_object(item: Item) -> KubernetesObject | NotKept:
    """The object of an item. Raises BadObjectError."""
    value = item.value
    if not isinstance(value, dict):
        raise BadObjectError("an item is an object of Kubernetes, and this is none")
    group, version, kind = _type(item, value)
    if (group, kind) in NEVER_KEPT:
        return NotKept(group, kind)
    wrong: Wrong = []
    metadata = take(value.get("metadata"), _METADATA, "metadata", wrong) or {}
    name, namespace = metadata.get("name", ""), metadata.get("namespace", "")
    if not name and not wrong:
        wrong.append(("metadata.name", "there is none"))
    shape = KINDS.get((group, kind), {})
    extract: dict[str, Any] = take(value, shape, "", wrong)
    if wrong:
        who = f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"
        raise BadObjectError(*(f"{who.strip()}: {field}: {said}" for field, said in wrong))
    if metadata.get("annotations"):
        extract["annotations"] = metadata["annotations"]
    created = metadata.get("creationTimestamp")
    owner_kind, owner_name = _owner(metadata.get("ownerReferences") or [])
    return KubernetesObject(
        group, version, kind, namespace, name, metadata.get("uid", ""),
        read_moment(created) if created else None, metadata.get("labels", {}), owner_kind, owner_name,
        orjson.dumps(extract).decode(),
    )  # fmt: skip


def _type(item: Item, value: dict[str, Any]) -> tuple[str, str, str]:
    """API group, version and kind. Objects in a list of the API's own do not say them: the list does."""
    kind, version = value.get("kind"), value.get("apiVersion")
    if kind is None and item.list_kind.endswith(_LIST) and item.list_kind != _LIST:
        kind = item.list_kind.removesuffix(_LIST)
        version = version or item.list_version
    wrong = [
        f"{field}: there is none"
        for field, said in (("kind", kind), ("apiVersion", version))
        if not (isinstance(said, str) and said and said.isascii() and said.isprintable())
    ]
    if wrong:
        raise BadObjectError(*wrong)
    group, _, version = str(version).rpartition("/")
    return group, version, str(kind)


def _owner(references: list[dict[str, Any] | None]) -> tuple[str, str]:
    """Kind and name of the controller; others that are named do not make it."""
    for reference in references:
        if reference and reference.get("controller"):
            return reference.get("kind", ""), reference.get("name", "")
    return "", ""
