"""What is scraped: the targets of a job, from its settings and from the groups of its `file_sd` files.

As in Prometheus, labels that begin with `__` say how a target is scraped, and go no further. The address is
taken as it stands: no port is added, which is what Prometheus does since version 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from collector.scrape.settings import RESERVED, Scheme, ScrapeJob, address, label_name, url_path

_PARAM: Final = "__param_"


@dataclass(frozen=True, slots=True)
class Group:
    """Addresses with the same labels, as in a `file_sd` file."""

    addresses: tuple[str, ...]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Target:
    """One endpoint. Two with the same job, URL and labels are the same target."""

    job: str
    url: str
    labels: tuple[tuple[str, str], ...]
    """With `job` and `instance`, in order by name."""


def checked_group(group: Group) -> Group:
    """The same. Raises ValueError if an address, a label or a label's value cannot be used."""
    for one in group.addresses:
        address(one)
    for name, value in group.labels.items():
        if not name.startswith(RESERVED):
            label_name(name)
        elif name == "__scheme__":
            Scheme(value)
        elif name == "__metrics_path__":
            url_path(value)
        elif name in ("__scrape_interval__", "__scrape_timeout__"):
            raise ValueError(f"{name} is not supported; give these targets a job of their own")
    return group


def targets_of(job: ScrapeJob, groups: Iterable[Group] = ()) -> Iterator[Target]:
    """The targets of a job: its own, and those of groups (`checked_group`). The same one may come twice."""
    for group in (Group(job.targets, {}), *groups):
        for one in group.addresses:
            yield _target(job, one, {**job.labels, **group.labels})


def _target(job: ScrapeJob, one: str, labels: Mapping[str, str]) -> Target:
    params = {name: list(values) for name, values in job.params.items()}
    for name, value in labels.items():
        if name.startswith(_PARAM):
            # As Prometheus: the first value is the label's.
            key = name.removeprefix(_PARAM)
            params[key] = [value, *params.get(key, ())[1:]]
    scheme = labels.get("__scheme__", job.scheme)
    path = labels.get("__metrics_path__", job.path)
    query = urlencode(sorted(params.items()), doseq=True)
    kept = {name: value for name, value in labels.items() if value and not name.startswith(RESERVED)}
    return Target(
        job.name,
        f"{scheme}://{one}{path}" + (f"?{query}" if query else ""),
        tuple(sorted({"job": job.name, "instance": one, **kept}.items())),
    )
