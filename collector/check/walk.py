"""One pass over the bytes of a request, compiled: counts its items and says whether anything in it is not
as it should be. `collector.check.check` calls `load()` once and the result for every request.

The walk follows the wire format with the tables of `collector.check.tables`, iteratively, on a stack of its
own. It repairs nothing: a request without a flag is stored byte for byte, any flag sends it the slow way.
So in doubt it flags. What the database misreads must be flagged here: an empty packed field fails the whole
batch, a string given twice becomes an empty one, and a sender must not be able to stop the loader.

The trap: every read of the memory must follow a comparison with an end that lies no further than the memory's
own, since nothing else checks it.

Longer than most modules, since all its parts are compiled into one walk and share its flags.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ingest.compiled import address_of, compiled, part
from ingest.wire import eight_at

# Flags of the verdict. The first four end the walk at once, so that its count is not complete.
MALFORMED: Final = 1  # not protobuf: truncated, overrun, or a number that does not end
BAD_UTF8: Final = 2  # a string field that is not UTF-8
TOO_DEEP: Final = 4  # nested beyond the limits below
ODD: Final = 8  # legal protobuf that no SDK writes: unknown fields, repetitions, over-long numbers, groups
REWRITE: Final = 16  # a value the database cannot hold: nested twice, or an empty list or map
TIME: Final = 32  # an item outside the accepted window, or a span that ends before it starts
IDS: Final = 64  # a trace or span id that is none
STRING_INDEX: Final = 128  # a reference to the string table that only profiles have
RECORD_REWRITE: Final = 256  # what REWRITE says, inside a record
DENIED: Final = 512  # an attribute under a name that may be one to drop or to hash
UNTIMED: Final = 1024  # no fault: a record without a time, which may rightly come twice in the same words

MAX_VALUE_LEVELS: Final = 32  # an attribute's own value is level 1, the members of its list are level 2
MAX_MESSAGE_LEVELS: Final = 100  # how deep protobuf itself follows, the request not counted
HELD_VALUE_LEVELS: Final = 2  # how many levels of values the typed columns of the database hold

# An entry of the field table: wire type in 3 bits, kind in 5, child message in 8, then one bit for each field
# number of the same message that may not have come before this one (itself included).
KIND_SHIFT: Final = 3
CHILD_SHIFT: Final = 8
CONFLICT_SHIFT: Final = 16
FIELDS: Final = 32  # field numbers of a message that the table has room for
UNKNOWN: Final = -1

# Kinds of fields, in the order in which the walk asks for them.
MESSAGE: Final = 0
STRING: Final = 1
PLAIN: Final = 2  # nothing to check once its length is right: bytes, fixed numbers, 64-bit varints
FIRST_TIME: Final = 3  # a span's start, a point's time, a log's time
SECOND_TIME: Final = 4  # a span's end, a log's observed time
TRACE_ID: Final = 5  # a span's own
SPAN_ID: Final = 6
OTHER_TRACE_ID: Final = 7  # of links, exemplars and logs: may be absent
OTHER_SPAN_ID: Final = 8
PACKED_FIXED64: Final = 9
PACKED_VARINT: Final = 10
BOOL: Final = 11
INT32: Final = 12  # int32 and enums; negative ones are sign-extended to ten bytes
UINT32: Final = 13
INDEX: Final = 14  # into the string table of profiles
KEY: Final = 15  # an attribute's name

# Roles of messages.
ORDINARY: Final = 0
SPAN: Final = 1
POINT: Final = 2
LOG: Final = 3
VALUE: Final = 4  # AnyValue
LIST: Final = 5  # ArrayValue and KeyValueList
PAIR: Final = 6  # KeyValue

# Wire types.
VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
FIXED32: Final = 5

# What is known of the ids of the item the walk is in.
_HAS_TRACE_ID: Final = 1
_HAS_SPAN_ID: Final = 2
_HAS_BAD_ID: Final = 4

# The table of names that are denied, made by `collector.check.scrub`. A character counts by its class only
# (FOLD: 32 of them, no case), so a name may be flagged in vain, but never be missed.
FOLD: Final = 0
LAST_TWO: Final = 256  # 1 for the classes of two characters that some name ends with, the last one first
FIRST_TWO: Final = LAST_TWO + 1024  # the same for the two that some name begins with, the first one first
RULES: Final = FIRST_TWO + 1024  # their number, then the rules: how to compare, how many classes, the classes
RULE_ROOM: Final = 34
RULE_CLASSES: Final = 32
BY_END: Final = 0
BY_BEGIN: Final = 1
WHOLE: Final = 2

_HIGH_BITS: Final = np.uint64(0x8080808080808080)
_NOTHING: Final = np.uint64(0)
_LARGEST: Final = np.uint64((1 << 63) - 1)

Memory: TypeAlias = Any  # the address of an array, indexed without any guard
Walk: TypeAlias = Callable[
    [bytes, int, NDArray[np.int64], NDArray[np.int64], NDArray[np.uint8], int, int], tuple[int, int, int]
]
SIGNATURE: Final = (
    "UniTuple(int64, 3)(Bytes(uint8, 1, 'C'), int64, int64[::1], int64[::1], uint8[::1], uint64, uint64)"
)

# The parts below read from `at` up to `end`. Where they return a position, a negative one is a flag, negated.


@part
def _number(memory: Memory, at: int, end: int) -> tuple[Any, int]:
    """A varint and where it ended."""
    value = _NOTHING
    shift = 0
    while at < end and shift < 70:
        byte = int(memory[at])
        at += 1
        value |= np.uint64(byte & 0x7F) << np.uint64(shift)
        if byte < 0x80:
            if (byte == 0 and shift > 0) or (shift == 63 and byte > 1):
                return _NOTHING, -ODD
            return value, at
        shift += 7
    return _NOTHING, -MALFORMED


@part
def _header(memory: Memory, at: int, end: int) -> tuple[int, int]:
    """A tag or a length, and where it ended. One byte as a rule; what is beyond all bounds stays so."""
    if at < end and memory[at] < 0x80:
        return int(memory[at]), at + 1
    value, at = _number(memory, at, end)
    return int(min(value, _LARGEST)), at


@part
def _multibyte_ends(memory: Memory, at: int, end: int) -> int:
    """Where the UTF-8 character that starts with a byte >= 0x80 ends (Unicode standard, table 3-7)."""
    lead = int(memory[at])
    if lead < 0xC2 or lead > 0xF4:
        return -BAD_UTF8
    more = 1 + (lead >= 0xE0) + (lead >= 0xF0)
    if end - at <= more:
        return -BAD_UTF8
    low, high = 0x80, 0xBF
    if lead == 0xE0:
        low = 0xA0
    elif lead == 0xED:
        high = 0x9F
    elif lead == 0xF0:
        low = 0x90
    elif lead == 0xF4:
        high = 0x8F
    if int(memory[at + 1]) < low or int(memory[at + 1]) > high:
        return -BAD_UTF8
    for i in range(2, more + 1):
        if int(memory[at + i]) & 0xC0 != 0x80:
            return -BAD_UTF8
    return at + more + 1


@part
def _is_utf8(memory: Memory, at: int, end: int) -> bool:
    while at < end:
        if end - at >= 8 and eight_at(memory, at) & _HIGH_BITS == _NOTHING:
            at += 8
            continue
        if memory[at] < 0x80:
            at += 1
            continue
        at = _multibyte_ends(memory, at, end)
        if at < 0:
            return False
    return True


@part
def _is_text(memory: Memory, at: int, end: int) -> bool:
    """Whether the bytes are UTF-8. ASCII is settled eight at a time, and for a short rest with one read that
    begins before it: those bytes are the request's own, and are shifted out.
    """
    while end - at >= 8:
        if eight_at(memory, at) & _HIGH_BITS != _NOTHING:
            return _is_utf8(memory, at, end)
        at += 8
    if at == end:
        return True
    if end >= 8 and (eight_at(memory, end - 8) >> np.uint64(64 - 8 * (end - at))) & _HIGH_BITS == _NOTHING:
        return True
    return _is_utf8(memory, at, end)


@part
def _is_id(memory: Memory, at: int, size: int, wanted: int) -> bool:
    """Whether this is an id of the wanted length that is not all zero."""
    if size != wanted:
        return False
    bits = eight_at(memory, at)
    if size == 16:
        bits |= eight_at(memory, at + 8)
    return bool(bits != _NOTHING)


@part
def _id_facts(memory: Memory, at: int, size: int, kind: int) -> int:
    """What this id field says about its item."""
    if kind == TRACE_ID:
        return _HAS_TRACE_ID if _is_id(memory, at, size, 16) else 0
    if kind == SPAN_ID:
        return _HAS_SPAN_ID if _is_id(memory, at, size, 8) else 0
    wanted = 16 if kind == OTHER_TRACE_ID else 8
    return 0 if size == 0 or _is_id(memory, at, size, wanted) else _HAS_BAD_ID


@part
def _packed(memory: Memory, at: int, end: int, kind: int) -> int:
    if at == end:  # the database fails the whole batch for it
        return -ODD
    if kind == PACKED_FIXED64:
        return end if (end - at) % 8 == 0 else -MALFORMED
    while 0 <= at < end:
        _, at = _number(memory, at, end)
    return at


@part
def _bytes(memory: Memory, at: int, end: int, kind: int) -> int:
    """A field with a length that is neither a message nor an id."""
    if kind in (STRING, KEY):
        return end if _is_text(memory, at, end) else -BAD_UTF8
    if kind == PLAIN:
        return end
    return _packed(memory, at, end, kind)


@part
def _varint(memory: Memory, at: int, end: int, kind: int) -> int:
    """A varint field; a number too large for its type is odd (protobuf cuts it, the database fails)."""
    value, at = _number(memory, at, end)
    if at < 0 or kind in (PLAIN, PACKED_VARINT):
        return at
    fits = value <= np.uint64(1)
    if kind in (INT32, INDEX):
        fits = value < np.uint64(1 << 31) or value >= np.uint64((1 << 64) - (1 << 31))
    elif kind == UINT32:
        fits = value < np.uint64(1 << 32)
    return at if fits else -ODD


@part
def _entry(fields: Memory, message: int, tag: int, seen: int) -> int:
    """The table's entry for a field, if it may come here; else UNKNOWN."""
    number = tag >> 3
    if number < 1 or number >= FIELDS:
        return UNKNOWN
    entry = int(fields[message * FIELDS + number])
    if entry == UNKNOWN or seen & (entry >> CONFLICT_SHIFT):
        return UNKNOWN
    if tag & 7 == entry & 7:
        return entry
    # Elements of a packed field may also come one by one.
    kind = entry >> KIND_SHIFT & 31
    wire = tag & 7
    single = (kind == PACKED_FIXED64 and wire == FIXED64) or (kind == PACKED_VARINT and wire == VARINT)
    return entry if single else UNKNOWN


@part
def _item_flags(role: int, first: Any, second: Any, ids: int, earliest: Any, latest: Any) -> int:
    """The rules for one span, point or log record."""
    flags = IDS if ids & _HAS_BAD_ID else 0
    time = first
    if role == LOG and first == _NOTHING:
        if second == _NOTHING:
            return flags | UNTIMED  # the time of arrival will do
        time = second
    if time == _NOTHING:
        flags |= UNTIMED
    if time < earliest or time > latest:
        flags |= TIME
    if role == SPAN:
        if second < first or second > latest:
            flags |= TIME
        if ids & (_HAS_TRACE_ID | _HAS_SPAN_ID) != _HAS_TRACE_ID | _HAS_SPAN_ID:
            flags |= IDS
    return flags


@part
def _is_plain_pair(memory: Memory, at: int, end: int) -> bool:
    """Whether a KeyValue is what nearly all are: a short key, then a value that is a clean scalar.

    A shortcut: a pair that is not recognised is walked field by field like any other message.
    """
    if end - at < 6 or memory[at] != 0x0A:
        return False
    size = int(memory[at + 1])
    value = at + 2 + size
    if size > 0x7F or end - value < 4 or memory[value] != 0x12 or int(memory[value + 1]) != end - value - 2:
        return False
    if not _is_text(memory, at + 2, value):
        return False
    tag = memory[value + 2]
    at = value + 3
    if tag in (0x0A, 0x3A):
        fits = int(memory[at]) == end - at - 1 and end - at <= 0x80
        return fits and (tag == 0x3A or _is_text(memory, at + 1, end))
    if tag == 0x18:
        _, at = _number(memory, at, end)
        return at == end
    if tag == 0x10:
        return end - at == 1 and memory[at] < 2
    return tag == 0x21 and end - at == 8


@part
def _is_named(memory: Memory, at: int, end: int, denied: Memory) -> bool:
    """Whether a name is one of the rules', as far as its classes tell."""
    size = end - at
    for number in range(int(denied[RULES])):
        rule = RULES + 1 + number * RULE_ROOM
        how = denied[rule]
        length = int(denied[rule + 1])
        if size < length or (how == WHOLE and size != length):
            continue
        same = 0
        while same < length:
            place = at + same if how == BY_BEGIN else end - 1 - same
            if denied[FOLD + int(memory[place])] != denied[rule + 2 + same]:
                break
            same += 1
        if same == length:
            return True
    return False


@part
def _is_denied(memory: Memory, at: int, end: int, denied: Memory) -> bool:
    """Whether a name may be denied. Two looks at two characters settle it for nearly all of them."""
    if end - at < 2:
        return False
    last = int(denied[FOLD + int(memory[end - 1])]) << 5 | int(denied[FOLD + int(memory[end - 2])])
    first = int(denied[FOLD + int(memory[at])]) << 5 | int(denied[FOLD + int(memory[at + 1])])
    if denied[LAST_TWO + last] == 0 and denied[FIRST_TWO + first] == 0:
        return False
    return _is_named(memory, at, end, denied)


def walk(  # noqa: C901 - one loop over one stack; the rest is in the parts above
    body: bytes,
    root: int,
    fields: NDArray[np.int64],
    roles: NDArray[np.int64],
    denied_names: NDArray[np.uint8],
    earliest: Any,
    latest: Any,
) -> tuple[int, int, int]:
    """Number of items, flags, and the position of the fault if one of the first four is set.

    `root` is the number of the request's message in the tables; `earliest` and `latest` are in ns since 1970.
    """
    memory = address_of(body)
    table = address_of(fields)
    role_of = address_of(roles)
    denied = address_of(denied_names)
    ends = np.empty(MAX_MESSAGE_LEVELS, np.int64)
    messages = np.empty(MAX_MESSAGE_LEVELS, np.int64)
    seens = np.empty(MAX_MESSAGE_LEVELS, np.int64)
    at = items = flags = depth = levels = seen = ids = 0
    first = second = _NOTHING
    rewrite = REWRITE
    message = root
    end = len(body)
    while True:
        if at == end:
            role = int(role_of[message])
            if role == VALUE:
                levels -= 1
            elif SPAN <= role <= LOG:
                items += 1
                flags |= _item_flags(role, first, second, ids, earliest, latest)
                first = second = _NOTHING
                ids = 0
                rewrite = REWRITE
            if depth == 0:
                return items, flags, at
            depth -= 1
            message, end, seen = messages[depth], ends[depth], seens[depth]
            continue
        start = at
        tag, at = _header(memory, at, end)
        if at < 0:
            return items, flags | -at, start
        entry = _entry(table, message, tag, seen)
        if entry == UNKNOWN:
            return items, flags | ODD, start
        seen |= 1 << (tag >> 3)
        kind = entry >> KIND_SHIFT & 31
        wire = tag & 7
        if wire == VARINT:
            at = _varint(memory, at, end, kind)
            if kind == INDEX:
                flags |= STRING_INDEX
        elif wire == FIXED32:
            at = at + 4 if end - at >= 4 else -MALFORMED
        elif wire == FIXED64:
            if end - at >= 8:
                if kind == FIRST_TIME:
                    first = eight_at(memory, at)
                elif kind == SECOND_TIME:
                    second = eight_at(memory, at)
                at += 8
            else:
                at = -MALFORMED
        else:
            size, at = _header(memory, at, end)
            if at >= 0 and size > end - at:
                at = -MALFORMED
            elif at >= 0 and kind == MESSAGE:
                child = entry >> CHILD_SHIFT & 255
                role = int(role_of[child])
                if role == PAIR and levels < HELD_VALUE_LEVELS and _is_plain_pair(memory, at, at + size):
                    if _is_denied(memory, at + 2, at + 2 + int(memory[at + 1]), denied):
                        flags |= DENIED
                    at += size
                    continue
                if role == VALUE:
                    levels += 1
                    if levels > HELD_VALUE_LEVELS:
                        flags |= rewrite
                elif role == LIST and size == 0:
                    flags |= rewrite
                elif SPAN <= role <= LOG:
                    rewrite = RECORD_REWRITE
                if depth == MAX_MESSAGE_LEVELS or levels > MAX_VALUE_LEVELS:
                    return items, flags | TOO_DEEP, start
                messages[depth], ends[depth], seens[depth] = message, end, seen
                depth += 1
                message = child
                end = at + size
                seen = 0
            elif at >= 0:
                if TRACE_ID <= kind <= OTHER_SPAN_ID:
                    ids |= _id_facts(memory, at, size, kind)
                    at += size
                else:
                    if kind == KEY and _is_denied(memory, at, at + size, denied):
                        flags |= DENIED
                    at = _bytes(memory, at, at + size, kind)
        if at < 0:
            return items, flags | -at, start


@cache
def load() -> Walk:
    """The compiled walk: read from the cache on disk, or compiled, which takes some seconds."""
    return compiled(SIGNATURE, walk)
