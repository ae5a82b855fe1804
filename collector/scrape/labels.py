"""The labels of a sample: those of its page and those of its target, put together as Prometheus does.

A series is told from others by its key: its labels in order by name, as bytes, so that many can be
remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from collector.scrape.errors import Reason, ScrapeError
from collector.scrape.settings import ScrapeJob

NAME: Final = "__name__"
_EXPORTED: Final = "exported_"
_BETWEEN: Final = b"\xff"  # which UTF-8 does not have

Pairs = tuple[tuple[str, str], ...]
Key = bytes


def put_together(
    name: str, labels: Mapping[str, str], target: Mapping[str, str], *, honor_labels: bool
) -> Pairs:
    """The labels of a sample, in order by name. A label without a value is none.

    Where a page and its target have the same label, the page's becomes `exported_...`, or wins with
    `honor_labels`.
    """
    if target.keys().isdisjoint(labels):
        found = {**labels, **target, NAME: name}
    elif honor_labels:
        found = {**target, **labels, NAME: name}
    else:
        found = {**labels, **target, NAME: name}
        conflicts = [label for label in labels if label in target and labels[label]]
        for label in sorted(conflicts, key=len):
            exported = _EXPORTED + label
            while found.get(exported):
                exported = _EXPORTED + exported
            found[exported] = labels[label]
    return tuple(sorted(pair for pair in found.items() if pair[1]))


def key_of(pairs: Pairs) -> Key:
    """The key of a series."""
    return _BETWEEN.join([text.encode() for text in chain.from_iterable(pairs)])


def pairs_of(key: Key) -> Pairs:
    """The labels of a series, from its key."""
    texts = [part.decode() for part in key.split(_BETWEEN)]
    return tuple(zip(texts[::2], texts[1::2], strict=True))


def refuse_labels(pairs: Pairs, job: ScrapeJob) -> None:
    """Raises ScrapeError (LABELS) if there are more labels, or longer ones, than the job may have. The whole
    scrape is then refused, as in Prometheus: a target out of bounds should be noticed."""
    if len(pairs) > job.max_labels:
        raise _refusal(pairs, f"{len(pairs)} labels, max_labels is {job.max_labels}")
    for name, value in pairs:
        if len(name) > job.max_label_name_chars:
            raise _refusal(
                pairs, f"a label's name of {len(name)}, max_label_name_chars is {job.max_label_name_chars}"
            )
        if len(value) > job.max_label_value_chars:
            raise _refusal(
                pairs, f"a label of {len(value)}, max_label_value_chars is {job.max_label_value_chars}"
            )


def _refusal(pairs: Pairs, what: str) -> ScrapeError:
    name = dict(pairs).get(NAME, "")[:100]
    return ScrapeError(Reason.LABELS, f"a series of {name} has {what}")
