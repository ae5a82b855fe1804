-- A value within a list or a map, as JSON; doubles that JSON cannot write as text (ProtoJSON).
ifNull(nullIf(toJSONString(${$1.string_value}), 'null'),
ifNull(toString(${$1.int_value}),
ifNull(toString(${$1.bool_value}),
ifNull(replaceRegexpOne(replaceOne(toString(${$1.double_value}), 'nan', '"NaN"'), '^(-?)inf$', '"\\1Infinity"'),
ifNull(concat('"', base64Encode(${$1.bytes_value}), '"'),
'null')))))
