"""FOCUS, the FinOps Open Cost and Usage Specification: the columns of its dataset Cost and Usage, which of
them a bill must have, and how a file's version is known.

Source: focus.finops.org, versions 1.0 (2024-06), 1.1, 1.2, 1.3 and 1.4 (2026-06). A file does not say its
version: the newest column in it does. The trap: exporters add columns of later versions to earlier ones, so
the version is what the file was understood as, not what its maker calls it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum, auto
from typing import Final


class Form(Enum):
    """What the values of a column look like."""

    TEXT = auto()
    DECIMAL = auto()
    TIME = auto()
    JSON = auto()  # an object


VERSIONS: Final = ("1.0", "1.1", "1.2", "1.3", "1.4")

_SINCE: Final[Mapping[str, Sequence[str]]] = {
    "1.0": (
        "AvailabilityZone", "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency",
        "BillingPeriodEnd", "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription",
        "ChargeFrequency", "ChargePeriodEnd", "ChargePeriodStart", "CommitmentDiscountCategory",
        "CommitmentDiscountId", "CommitmentDiscountName", "CommitmentDiscountStatus",
        "CommitmentDiscountType", "ConsumedQuantity", "ConsumedUnit", "ContractedCost",
        "ContractedUnitPrice", "EffectiveCost", "InvoiceIssuerName", "ListCost", "ListUnitPrice",
        "PricingCategory", "PricingQuantity", "PricingUnit", "ProviderName", "PublisherName", "RegionId",
        "RegionName", "ResourceId", "ResourceName", "ResourceType", "ServiceCategory", "ServiceName",
        "SkuId", "SkuPriceId", "SubAccountId", "SubAccountName", "Tags",
    ),
    "1.1": (
        "CapacityReservationId", "CapacityReservationStatus", "CommitmentDiscountQuantity",
        "CommitmentDiscountUnit", "ServiceSubcategory", "SkuMeter", "SkuPriceDetails",
    ),
    "1.2": (
        "BillingAccountType", "InvoiceId", "PricingCurrency", "PricingCurrencyContractedUnitPrice",
        "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "SubAccountType",
    ),
    "1.3": (
        "AllocatedMethodDetails", "AllocatedMethodId", "AllocatedResourceId", "AllocatedResourceName",
        "AllocatedTags", "ContractApplied", "HostProviderName", "ServiceProviderName",
    ),
    "1.4": ("CommitmentProgramEligibilityDetails", "InvoiceDetailId"),
}  # fmt: skip
_GONE: Final[Mapping[str, str]] = {"ProviderName": "1.4", "PublisherName": "1.4"}

_MANDATORY: Final = (
    "BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodEnd",
    "BillingPeriodStart", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodEnd",
    "ChargePeriodStart", "ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost",
    "PricingQuantity", "PricingUnit", "ServiceCategory", "ServiceName",
)  # fmt: skip
_MANDATORY_TOO: Final[Mapping[str, Sequence[str]]] = {
    "1.0": ("ProviderName", "PublisherName"),
    "1.1": ("ProviderName", "PublisherName"),
    "1.2": ("ProviderName", "PublisherName"),
    "1.3": ("ProviderName", "PublisherName", "HostProviderName", "ServiceProviderName"),
    "1.4": ("HostProviderName", "ServiceProviderName"),
}
NEVER_NULL: Final = frozenset({
    "BilledCost", "BillingAccountId", "BillingCurrency", "BillingPeriodEnd", "BillingPeriodStart",
    "ChargeCategory", "ChargePeriodEnd", "ChargePeriodStart", "ContractedCost", "EffectiveCost",
    "ListCost", "ServiceCategory",
})  # fmt: skip
"""Mandatory columns in which every row has a value."""
OFTEN_NULL: Final = ("InvoiceIssuerName", "ServiceName")
"""As well by what FOCUS says, but AWS leaves one empty at times (Data Exports, FOCUS conformance gaps), and
Azure the other, for what one buys (MicrosoftDocs/finops-toolkit, FOCUS conformance summary)."""

DECIMALS: Final = frozenset({
    "BilledCost", "CommitmentDiscountQuantity", "ConsumedQuantity", "ContractedCost", "ContractedUnitPrice",
    "EffectiveCost", "ListCost", "ListUnitPrice", "PricingCurrencyContractedUnitPrice",
    "PricingCurrencyEffectiveCost", "PricingCurrencyListUnitPrice", "PricingQuantity",
})  # fmt: skip
TIMES: Final = frozenset({"BillingPeriodEnd", "BillingPeriodStart", "ChargePeriodEnd", "ChargePeriodStart"})
OBJECTS: Final = frozenset(
    {"Tags", "SkuPriceDetails", "AllocatedTags", "AllocatedMethodDetails", "ContractApplied"}
)

CATEGORIES: Final = frozenset({"Usage", "Purchase", "Tax", "Credit", "Adjustment"})
CLASSES: Final = frozenset({"Correction"})
_SINCE_OF: Final = {name: version for version, names in _SINCE.items() for name in names}


def form_of(column: str) -> Form:
    """What the values of a column look like; one that FOCUS does not know is text."""
    if column in DECIMALS:
        return Form.DECIMAL
    if column in TIMES:
        return Form.TIME
    return Form.JSON if column in OBJECTS else Form.TEXT


def version_of(header: Iterable[str]) -> str | None:
    """The version a file with these columns is read as: that of its newest column. None if it is no FOCUS."""
    there = set(header) & _SINCE_OF.keys()
    if len(there) < len(_MANDATORY) // 2:
        return None
    newest = max(_SINCE_OF[name] for name in there)
    # 1.4 took two columns away and added two that few have: what has new names only is 1.4.
    return "1.4" if newest == "1.3" and not there & _GONE.keys() else newest


def mandatory(version: str) -> Sequence[str]:
    """The columns that a file of a version must have."""
    return (*_MANDATORY, *_MANDATORY_TOO[version])


def is_known(column: str, version: str) -> bool:
    """Whether a version has a column of this name."""
    since = _SINCE_OF.get(column)
    return since is not None and since <= version and (column not in _GONE or version < _GONE[column])
