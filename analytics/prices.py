"""The price book: what a machine, a function, a container or anything else costs on a day. The only place
that decides it.

`analytics.price_files` fills it; the ledger asks it for machines, the functions for their plans, `lowtide
prices` for everything. The traps: a later file wins on the days it covers, and only on those; and days before
the first price of a thing are priced with that one, since an old list price is nearer the truth than none.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from hashlib import sha256
from typing import Final

from analytics.errors import PriceBookError
from analytics.price_entries import Dated, Kind, Plan, PriceEntry

DEFAULT_PLAN: Final = "default"
DEFAULT_VOLUME: Final = "volume"
_NO_TERMS: Final = {"source", "retrieved_on"}
"""Of an entry, what does not change what anything costs."""
_VOLUME_UNITS: Final = {"GiB-hour": 1, "GiB-month": 730}
"""Hours in each: a month is a twelfth of a year, as lists of prices count it."""
_OF_FUNCTIONS: Final = frozenset({"request", "GiB-second", "storage-GiB-second"})
"""What is known of a function's use, or, of its storage, left out."""
_ARCHITECTURES: Final[Mapping[str, str]] = {"arm64": "arm64", "aarch64": "arm64"}
"""Names of `host.arch` that are not amd64, which is what everything else is priced as."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A price and where it stands. Those of files with a higher `rank` win."""

    entry: Dated
    file: str
    line: int
    rank: int = 0


@dataclass(frozen=True, slots=True)
class MachinePrice:
    """What an hour of a machine costs, in US dollars; `listed` is False where the default rates stand in,
    `spot` where it is a price on demand.
    """

    price: Decimal
    cores: Decimal
    memory_gib: Decimal
    listed: bool
    spot: bool = False


@dataclass(frozen=True, slots=True)
class FunctionPlan:
    """The plan of a function; `listed` is False where the default plan stands in."""

    plan: Plan
    listed: bool


@dataclass(frozen=True, slots=True)
class VolumePrice:
    """What a GiB of a volume costs an hour; `listed` is False where the default price stands in."""

    per_gib_hour: Decimal
    listed: bool


class PriceBook:
    """Looks prices up. It never changes after it was made."""

    def __init__(self, listings: Iterable[Listing]) -> None:
        self._listings = tuple(listings)
        things: dict[tuple[str, ...], list[Listing]] = {}
        for listing in self._listings:
            things.setdefault(listing.entry.key, []).append(listing)
        self._things: Mapping[tuple[str, ...], Sequence[Listing]] = {
            key: sorted(several, key=lambda one: (one.rank, one.entry.effective_on))
            for key, several in things.items()
        }
        missing = [f"the price book has no default for {key[3]}" for key in _DEFAULTS if key not in things]
        if missing:
            raise PriceBookError(missing)
        self.retrieved_on = max(listing.entry.retrieved_on for listing in self._listings)
        dates = {(one.entry.effective_on, one.entry.effective_until) for one in self._listings}
        self._changes = sorted({day for both in dates for day in both if day is not None})
        self._digests: dict[int, str] = {}

    @property
    def listings(self) -> Sequence[Listing]:
        """All that was read, in the order of the files."""
        return self._listings

    def digest(self, day: date) -> str:
        """What all prices of a day are known by: the same as long as none of them changes."""
        begun = bisect_right(self._changes, day)
        if begun not in self._digests:
            found = [self.find(key, day) for key in sorted(self._things)]
            texts = [one.entry.model_dump_json(exclude=_NO_TERMS) for one in found if one is not None]
            self._digests[begun] = sha256("\n".join(texts).encode()).hexdigest()
        return self._digests[begun]

    def rates(self, day: date, provider: str = "", *, spot: bool = False) -> tuple[Decimal, Decimal]:
        """Default price of a vCPU-hour and of a GiB-hour: the provider's, where it has one, else for all."""
        per_core, per_gib = self._rates(provider, day, spot)
        return per_core.price, per_gib.price

    def machine(
        self, provider: str, region: str, host_type: str, day: date, *, spot: bool = False
    ) -> MachinePrice | None:
        """The list price of a machine type, or None if the book does not have it. With `spot` its spot price,
        if there is one, else the one on demand.
        """
        for kind in (True, False) if spot else (False,):
            entry = self.price(Kind.MACHINE, provider, region, host_type, "hour", day, spot=kind)
            if entry is not None and entry.vcpu is not None and entry.memory_gib is not None:
                return MachinePrice(entry.price, entry.vcpu, entry.memory_gib, listed=True, spot=kind)
        return None

    def by_size(
        self, cores: Decimal, memory_gib: Decimal, day: date, provider: str = "", *, spot: bool = False
    ) -> MachinePrice:
        """The price of a machine of unknown type, from the default rates."""
        per_core, per_gib = self._rates(provider, day, spot)
        price = cores * per_core.price + memory_gib * per_gib.price
        return MachinePrice(price, cores, memory_gib, listed=False, spot=per_core.spot and per_gib.spot)

    def volume(self, provider: str, region: str, skus: Iterable[str], day: date) -> VolumePrice | None:
        """The price of a volume by the first of its names that has one, for this region or any; else the
        default for volumes, or None if there is none.
        """
        places = ((provider, region), (provider, ""), ("", ""))
        for sku in (*skus, DEFAULT_VOLUME):
            for whose, where in places:
                for unit, hours in _VOLUME_UNITS.items():
                    entry = self.price(Kind.VOLUME, whose, where, sku, unit, day)
                    if entry is not None:
                        return VolumePrice(entry.price / hours, listed=sku != DEFAULT_VOLUME)
        return None

    def function(
        self, provider: str, region: str, platform: str, architecture: str, day: date
    ) -> FunctionPlan:
        """The plan of a function, or the default one: also where the plan bills vCPU time or compute units,
        since a function does not say how many vCPUs it has.
        """
        plan = self.plan(provider, region, platform, architecture, day)
        if plan is not None and plan.prices.keys() - _OF_FUNCTIONS == set():
            return FunctionPlan(plan, listed=True)
        default = self.plan("", "", DEFAULT_PLAN, "", day)
        if default is None:
            raise LookupError("no default plan")  # its prices have ended
        return FunctionPlan(default, listed=False)

    def plan(self, provider: str, region: str, name: str, architecture: str, day: date) -> Plan | None:
        """The plan of a platform, for this region and architecture or for any; else None.

        Of several, that of the latest file, since who writes one for any means all; then the nearest.
        """
        told = _ARCHITECTURES.get(architecture, "amd64")
        keys = [("plan", provider, where, name, arch) for where in (region, "") for arch in (told, "")]
        found = [listing for key in keys if (listing := self.find(key, day)) is not None]
        best = max(found, key=lambda listing: listing.rank, default=None)
        return best.entry if best is not None and isinstance(best.entry, Plan) else None

    def price(
        self, kind: Kind, provider: str, region: str, sku: str, unit: str, day: date, *, spot: bool = False
    ) -> PriceEntry | None:
        """The price of anything that is no plan."""
        found = self.find((kind, provider, region, sku, unit, "spot" if spot else ""), day)
        return found.entry if found is not None and isinstance(found.entry, PriceEntry) else None

    def find(self, key: tuple[str, ...], day: date) -> Listing | None:
        """The price that holds on a day, with its place."""
        listings = self._things.get(key, ())
        begun = [one for one in listings if one.entry.effective_on <= day]
        latest = {one.rank: one for one in begun}  # of each file the last that has begun
        for rank in sorted(latest, reverse=True):
            until = latest[rank].entry.effective_until
            if until is None or day < until:
                return latest[rank]
        later = () if begun else listings
        return min(later, key=lambda one: (one.entry.effective_on, -one.rank), default=None)

    def _rates(self, provider: str, day: date, spot: bool) -> tuple[PriceEntry, PriceEntry]:
        return self._rate("vcpu", "vCPU-hour", provider, day, spot), self._rate(
            "memory", "GiB-hour", provider, day, spot
        )

    def _rate(self, sku: str, unit: str, provider: str, day: date, spot: bool) -> PriceEntry:
        """A spot rate that is missing stands at the one on demand."""
        for whose, kind in ((provider, spot), ("", spot), (provider, False), ("", False)):
            entry = self.price(Kind.RATE, whose, "", sku, unit, day, spot=kind)
            if entry is not None:
                return entry
        raise PriceBookError([f"the price book has no default for {sku} on {day}: its prices have ended"])


_DEFAULTS: Final = (
    (Kind.RATE, "", "", "vcpu", "vCPU-hour", ""),
    (Kind.RATE, "", "", "memory", "GiB-hour", ""),
    ("plan", "", "", DEFAULT_PLAN, ""),
)
