"""The price book: dated list prices from YAML files, ours and the user's. Loaded once, at start-up.

`analytics.answers` loads it; the ledger asks it for machines, the functions for their plans. The trap: an
entry holds from `effective_on` until a later one for the same thing; days before the first one are priced
with that, since an old list price is nearer the truth than none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from analytics.errors import PriceBookError

Unit = Literal["hour", "vCPU-hour", "GiB-hour", "request", "GiB-second"]
CURRENCY = "USD"
EVER = date(1970, 1, 1)


class PriceEntry(BaseModel):
    """One price. `provider`, `region` and `sku` are `cloud.provider`, `cloud.region` and `host.type` of
    OpenTelemetry.

    For a function's plan, `sku` is its `cloud.platform`. `price` is for one `unit`, in US dollars.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    region: str
    sku: str = Field(min_length=1)
    unit: Unit
    price: Decimal = Field(ge=0, max_digits=24, decimal_places=15)
    currency: Literal["USD"]
    source: str = Field(min_length=1)
    retrieved_on: date
    effective_on: date = EVER
    vcpu: Decimal | None = Field(default=None, gt=0)
    memory_gib: Decimal | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _machines_have_a_size(self) -> PriceEntry:
        if self.unit == "hour" and (self.vcpu is None or self.memory_gib is None):
            raise ValueError("a machine needs vcpu and memory_gib beside its price")
        return self


@dataclass(frozen=True, slots=True)
class MachinePrice:
    """What an hour of a machine costs, in US dollars; `listed` is False where the default rates stand in."""

    price: Decimal
    cores: Decimal
    memory_gib: Decimal
    listed: bool


@dataclass(frozen=True, slots=True)
class FunctionPrice:
    """What functions cost, in US dollars; `listed` is False where the default plan stands in."""

    per_request: Decimal
    per_gib_s: Decimal
    listed: bool


class PriceBook:
    """Looks prices up. Immutable after it was made."""

    def __init__(self, entries: Iterable[PriceEntry]) -> None:
        self._dated: dict[tuple[str, str, str, str], dict[date, PriceEntry]] = {}
        for entry in entries:
            key = (entry.provider, entry.region, entry.sku, entry.unit)
            self._dated.setdefault(key, {})[entry.effective_on] = entry
        self.retrieved_on = max(e.retrieved_on for dated in self._dated.values() for e in dated.values())
        missing = [
            f"the price book has no default for {sku} ({unit})"
            for sku, unit in _DEFAULTS
            if ("", "", sku, unit) not in self._dated
        ]
        if missing:
            raise PriceBookError(missing)

    def rates(self, day: date) -> tuple[Decimal, Decimal]:
        """Default price of a vCPU-hour and of a GiB-hour."""
        return self._default("vcpu", "vCPU-hour", day), self._default("memory", "GiB-hour", day)

    def machine(self, provider: str, region: str, host_type: str, day: date) -> MachinePrice | None:
        """The list price of a machine type, or None if the book does not have it."""
        entry = self._find(provider, region, host_type, "hour", day)
        if entry is None or entry.vcpu is None or entry.memory_gib is None:
            return None
        return MachinePrice(entry.price, entry.vcpu, entry.memory_gib, listed=True)

    def by_size(self, cores: Decimal, memory_gib: Decimal, day: date) -> MachinePrice:
        """The price of a machine of unknown type, from the default rates."""
        per_core, per_gib = self.rates(day)
        return MachinePrice(cores * per_core + memory_gib * per_gib, cores, memory_gib, listed=False)

    def function(self, provider: str, region: str, platform: str, day: date) -> FunctionPrice:
        """The plan of a function, or the default one."""
        request = self._find(provider, region, platform, "request", day)
        time = self._find(provider, region, platform, "GiB-second", day)
        if request is None or time is None:
            default = self._default("function", "request", day), self._default("function", "GiB-second", day)
            return FunctionPrice(*default, listed=False)
        return FunctionPrice(request.price, time.price, listed=True)

    def _default(self, sku: str, unit: str, day: date) -> Decimal:
        entry = self._find("", "", sku, unit, day)
        if entry is None:  # the constructor has made sure of them
            raise LookupError(f"no default price for {sku}")
        return entry.price

    def _find(self, provider: str, region: str, sku: str, unit: str, day: date) -> PriceEntry | None:
        dated = self._dated.get((provider, region, sku, unit))
        if dated is None:
            return None
        holding = [since for since in dated if since <= day]
        return dated[max(holding) if holding else min(dated)]


_DEFAULTS = (
    ("vcpu", "vCPU-hour"),
    ("memory", "GiB-hour"),
    ("function", "request"),
    ("function", "GiB-second"),
)


def load_price_book(own: Sequence[Path] = ()) -> PriceBook:
    """The list prices that come with Lowtide, and after them the user's files. Raises PriceBookError.

    Every problem of every file is collected before anything is raised.
    """
    shipped = sorted(files("analytics").joinpath("prices").iterdir(), key=lambda item: item.name)
    texts = [(item.name, item.read_text(encoding="utf-8")) for item in shipped if item.name.endswith(".yaml")]
    problems: list[str] = []
    for path in own:
        try:
            texts.append((str(path), path.read_text(encoding="utf-8")))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path} cannot be read: {error}")
    entries: list[PriceEntry] = []
    for name, text in texts:
        found, wrong = parse_prices(text, name)
        entries += found
        problems += wrong
    if problems:
        raise PriceBookError(problems)
    return PriceBook(entries)


def parse_prices(text: str, name: str) -> tuple[list[PriceEntry], list[str]]:
    """The prices of one file, and a sentence with file and line for each that is unusable.

    What stands beside `entries` holds for every entry that does not say otherwise.
    """
    try:
        document = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{name}:{mark.line + 1}" if mark is not None else name
        return [], [f"{where}: this is no YAML: {getattr(error, 'problem', error)}"]
    if not isinstance(document, yaml.MappingNode):
        return [], [f"{name}:1: a price file is a table with the key entries"]
    common, listed = _parts(document)
    if listed is None:
        return [], [f"{name}:1: a price file has a list named entries"]
    entries, problems = [], []
    for node in listed.value:
        try:
            entries.append(PriceEntry.model_validate({**common, **_table(node)}))
        except ValidationError as error:
            problems += [f"{name}:{node.start_mark.line + 1}: {words}" for words in _words(error)]
        except ValueError as error:
            problems.append(f"{name}:{node.start_mark.line + 1}: {error}")
    return entries, problems


def _parts(document: yaml.MappingNode) -> tuple[dict[str, Any], yaml.SequenceNode | None]:
    common, listed = {}, None
    for key, value in document.value:
        if key.value != "entries":
            common[str(key.value)] = _plain(value)
        elif isinstance(value, yaml.SequenceNode):
            listed = value
    return common, listed


def _table(node: yaml.Node) -> dict[str, Any]:
    if not isinstance(node, yaml.MappingNode):
        raise ValueError("an entry is a table with sku and price")  # noqa: TRY004 - wrong data, not a wrong call
    return {str(key.value): _plain(value) for key, value in node.value}


def _plain(node: yaml.Node) -> Any:
    """The value of a node; a number stays text, since a float would not be the price that was written."""
    if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:float":
        return node.value
    if isinstance(node, yaml.MappingNode):
        return {str(key.value): _plain(value) for key, value in node.value}
    return yaml.SafeLoader("").construct_object(node, deep=True)


def _words(error: ValidationError) -> Iterator[str]:
    for detail in error.errors(include_url=False):
        place = ".".join(str(part) for part in detail["loc"])
        message = str(detail["msg"]).removeprefix("Value error, ")
        yield f"{place}: {message}" if place else message
