"""Takes from an object of Kubernetes what a shape names, and checks it on the way. Everything else stays
behind: that is how no value of an environment variable, no command and no header is ever kept.

A shape is like the object: `{name: shape}` for an object with these fields, `[shape]` for a list,
`Each(shape)` for an object whose names are the user's (labels), and at the ends functions that check a value
and give what is kept. Names stay Kubernetes' own. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, TypeAlias

Shape: TypeAlias = "Mapping[str, Shape] | list[Shape] | Each | Callable[[Any], Any]"
Wrong: TypeAlias = list[tuple[str, str]]
"""Field and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Each:
    """An object whose names are the user's; each value has this shape. `only`: of these names alone."""

    shape: Shape
    only: Callable[[str], bool] | None = None


def take(value: Any, shape: Shape, where: str, wrong: Wrong) -> Any:
    """What the shape names of the value; None where there is none. What is wrong is added to `wrong`."""
    if value is None:
        return None
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _not(value, "no list", where, wrong)
        return [take(one, shape[0], f"{where}[{index}]", wrong) for index, one in enumerate(value)]
    if callable(shape):
        try:
            return shape(value)
        except ValueError as error:
            return _not(value, str(error), where, wrong)
    if not isinstance(value, dict):
        return _not(value, "no object", where, wrong)
    if isinstance(shape, Each):
        names = value if shape.only is None else filter(shape.only, value)
        pairs = ((name, shape.shape) for name in names)
    else:
        pairs = ((name, inner) for name, inner in shape.items() if name in value)
    found = {}
    for name, inner in pairs:
        if not name.isascii() and take(name, text, where, wrong) is None:
            continue
        taken = take(value[name], inner, f"{where}.{name}" if where else name, wrong)
        if taken is not None:
            found[name] = taken
    return found


def _not(value: Any, said: str, where: str, wrong: Wrong) -> None:
    shown = repr(value)
    wrong.append((where, f"{shown if len(shown) <= 60 else shown[:57] + '...'} is {said}"))


def text(value: Any) -> str:
    """Text. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004 - what is wrong with a value, as all here say it
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise ValueError("no text: it has half of a character") from error
    return value


def flag(value: Any) -> bool:
    """True or false. Raises ValueError."""
    if not isinstance(value, bool):
        raise ValueError("neither true nor false")  # noqa: TRY004
    return value


def whole(value: Any) -> int:
    """A whole number. Raises ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
        raise ValueError("no whole number")
    return value


def whole_or_text(value: Any) -> int | str:
    """A number of pods, or a share of them such as 25%. Raises ValueError."""
    return text(value) if isinstance(value, str) else whole(value)


def moment(value: Any) -> str:
    """A time as RFC 3339 has it. Raises ValueError."""
    read_moment(text(value))
    return str(value)


def read_moment(value: str) -> datetime:
    """The same as a time. Raises ValueError."""
    try:
        read = datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError("no time") from error
    if read.tzinfo is None or not 1900 < read.year < 2100:
        raise ValueError("no time")
    in_utc = read.astimezone(UTC)
    if in_utc.year < 1970:
        raise ValueError("no time")
    return in_utc


_QUANTITY: Final = re.compile(r"(\d+\.?\d*|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d{1,3})?", re.ASCII)
_SCALES: Final[Mapping[str, Decimal]] = {
    "": Decimal(1),
    **{
        suffix: Decimal(10) ** power
        for suffix, power in zip("numkMGTPE", (-9, -6, -3, 3, 6, 9, 12, 15, 18), strict=True)
    },
    **{f"{suffix}i": Decimal(1024) ** power for power, suffix in enumerate("KMGTPE", 1)},
}
_MOST: Final = Decimal(2) ** 63
"""Kubernetes keeps no larger ones."""


def quantity(value: Any) -> int | float:
    """A quantity (`250m`, `64Mi`, `1e3`) as a number of cores, bytes or pieces. Raises ValueError."""
    written = str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value
    found = _QUANTITY.fullmatch(written) if isinstance(written, str) and len(written) <= 64 else None
    if found is None:
        raise ValueError("no quantity")
    digits, suffix = found[1], found[2] or ""
    amount = Decimal(digits + suffix) if suffix[-1:].isdigit() else Decimal(digits) * _SCALES[suffix]
    if amount > _MOST:
        raise ValueError("no quantity")
    return int(amount) if amount == int(amount) else float(amount)
