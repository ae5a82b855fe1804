"""What a price file may say: prices of machines and of things by unit, and plans of functions and containers.

No logic but what makes an entry whole. `analytics.price_files` reads them, `analytics.prices` looks them up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

CURRENCY: Final = "USD"
EVER: Final = date(1970, 1, 1)

Price = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=15)]


class Kind(StrEnum):
    """What an entry is the price of."""

    MACHINE = "machine"
    RATE = "rate"  # of a vCPU, a GiB or a GPU, where a machine has no price of its own
    VOLUME = "volume"
    NETWORK = "network"
    LOAD_BALANCER = "load-balancer"
    CONTROL_PLANE = "control-plane"


Unit = Literal["hour", "vCPU-hour", "GiB-hour", "GPU-hour", "GiB-month", "GiB", "LCU-hour"]
UNITS: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.MACHINE: frozenset({"hour"}),
    Kind.RATE: frozenset({"vCPU-hour", "GiB-hour", "GPU-hour"}),
    Kind.VOLUME: frozenset({"GiB-hour", "GiB-month"}),
    Kind.NETWORK: frozenset({"hour", "GiB"}),
    Kind.LOAD_BALANCER: frozenset({"hour", "LCU-hour", "GiB"}),
    Kind.CONTROL_PLANE: frozenset({"hour"}),
}

Usage = Literal[
    "request",
    "vCPU-second",
    "GiB-second",
    "storage-GiB-second",
    "vCPU-hour",
    "GiB-hour",
    "storage-GiB-hour",
    "CU",
]
"""What plans bill. A CU is a compute unit, into which others are converted first (`converted`)."""


class Dated(BaseModel, ABC):
    """Common to all prices: whose, where from, and on which days they hold.

    `provider` and `region` are `cloud.provider` and `cloud.region` of OpenTelemetry, empty for any. A price
    holds from `effective_on` to the day before `effective_until`, or until the next one for the same thing.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    provider: str
    region: str
    currency: Literal["USD"]
    source: str = Field(min_length=1)
    retrieved_on: date
    effective_on: date = EVER
    effective_until: date | None = None

    @model_validator(mode="after")
    def _days_in_order(self) -> Dated:
        if self.effective_until is not None and self.effective_until <= self.effective_on:
            raise ValueError(
                f"effective_until ({self.effective_until}) is not after effective_on ({self.effective_on})"
            )
        return self

    @property
    @abstractmethod
    def key(self) -> tuple[str, ...]:
        """What it is the price of; the same key on other days is the same thing at another price."""


class PriceEntry(Dated):
    """One price: of a machine (`sku` is `host.type`), or of anything else by its unit. `price` is for one."""

    kind: Kind = Kind.MACHINE
    sku: str = Field(min_length=1)
    unit: Unit
    price: Price
    spot: bool = False
    vcpu: Decimal | None = Field(default=None, gt=0)
    memory_gib: Decimal | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> PriceEntry:
        if self.unit not in UNITS[self.kind]:
            raise ValueError(
                f"a {self.kind} is priced by {' or '.join(sorted(UNITS[self.kind]))}, not by {self.unit}"
            )
        sizes = (self.vcpu, self.memory_gib)
        if self.kind is Kind.MACHINE and None in sizes:
            raise ValueError("a machine needs vcpu and memory_gib beside its price")
        if self.kind is not Kind.MACHINE and sizes != (None, None):
            raise ValueError(f"a {self.kind} has neither vcpu nor memory_gib")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        """Kind, provider, region, sku, unit, and whether spot."""
        return (self.kind, self.provider, self.region, self.sku, self.unit, "spot" if self.spot else "")


class Tier(BaseModel):
    """A price for what is above `above` units in a month, up to the next tier."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    above: Decimal = Field(default=Decimal(0), ge=0)
    price: Price


def _as_tiers(given: Any) -> Any:
    """One price alone is one tier."""
    return [{"price": given}] if isinstance(given, str | Decimal | None) else given


Tiers = Annotated[tuple[Tier, ...], BeforeValidator(_as_tiers), Field(min_length=1)]


class Plan(Dated):
    """What a function or a container without a node costs. `plan` is `cloud.platform` where there is one.

    Time is billed from `minimum_ms` in steps of `step_ms`, memory from `minimum_memory_mib` in steps of
    `memory_step_mib`. `prices` are by unit, in tiers of a month's use of the whole account; `free` is what an
    account has free each month. A plan in compute units says how others are `converted` into them.
    """

    plan: str = Field(min_length=1)
    architecture: Literal["", "amd64", "arm64"] = ""
    step_ms: int = Field(default=1, ge=1)
    minimum_ms: int = Field(default=0, ge=0)
    memory_step_mib: int = Field(default=1, ge=1)
    minimum_memory_mib: int = Field(default=0, ge=0)
    prices: Mapping[Usage, Tiers] = Field(min_length=1)
    free: Mapping[Usage, Annotated[Decimal, Field(gt=0)]] = Field(default_factory=dict)
    converted: Mapping[Usage, Annotated[Decimal, Field(ge=0)]] = Field(default_factory=dict)

    @field_validator("prices")
    @classmethod
    def _tiers_in_order(cls, prices: Mapping[Usage, tuple[Tier, ...]]) -> Mapping[Usage, tuple[Tier, ...]]:
        for unit, tiers in prices.items():
            if tiers[0].above != 0:
                raise ValueError(f"{unit}: the first tier begins at 0, not above {tiers[0].above}")
            for lower, upper in pairwise(tiers):
                if upper.above <= lower.above:
                    raise ValueError(f"{unit}: the tier above {upper.above} follows one above {lower.above}")
        return prices

    @model_validator(mode="after")
    def _units_meet(self) -> Plan:
        if bool(self.converted) != ("CU" in self.prices):
            raise ValueError("a price of a CU and a table `converted` go together")
        if "CU" in self.converted:
            raise ValueError("converted: a CU is not converted into a CU")
        strange = sorted(self.free.keys() - self.prices.keys())
        if strange:
            raise ValueError(f"free: {', '.join(strange)} has no price in this plan")
        return self

    @property
    def key(self) -> tuple[str, ...]:
        """Plan, provider, region, architecture."""
        return ("plan", self.provider, self.region, self.plan, self.architecture)
