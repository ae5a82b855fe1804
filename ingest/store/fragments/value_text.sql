-- A value as text: what is plain as it is written, a list or a map as JSON, nothing as nothing.
-- Every function here is planned several times for each insert, which takes longer than to run it (ADR 14): hence ifNull
-- and not multiIf or coalesce, and a list treated as a map without keys.
ifNull(${$1.string_value},
ifNull(toString(${$1.int_value}),
ifNull(toString(${$1.bool_value}),
ifNull(toString(${$1.double_value}),
ifNull(base64Encode(${$1.bytes_value}),
if(empty(${$1.array_value.values}) AND empty(${$1.kvlist_value.values}), '', concat(
    if(empty(${$1.array_value.values}), '{', '['),
    arrayStringConcat(arrayMap(
        (start, leaf) -> concat(start, ${leaf_json(leaf)}),
        arrayConcat(
            arrayMap(leaf -> '', ${$1.array_value.values}),
            arrayMap(key -> concat(toJSONString(key), ':'), ${$1.kvlist_value.values.key})),
        arrayConcat(${$1.array_value.values}, ${$1.kvlist_value.values.value})), ','),
    if(empty(${$1.array_value.values}), '}', ']'))))))))
