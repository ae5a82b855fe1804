-- A value within a list or a map, as JSON; doubles that JSON cannot write as text (ProtoJSON).
multiIf(
    isNotNull($1.string_value), toJSONString(assumeNotNull($1.string_value)),
    isNotNull($1.int_value), toString(assumeNotNull($1.int_value)),
    isNotNull($1.bool_value), toString(assumeNotNull($1.bool_value)),
    isNotNull($1.double_value), if(isFinite(assumeNotNull($1.double_value)),
        toJSONString(assumeNotNull($1.double_value)),
        transform(toString(assumeNotNull($1.double_value)),
            ['nan', 'inf', '-inf'], ['"NaN"', '"Infinity"', '"-Infinity"'], '"NaN"')),
    isNotNull($1.bytes_value), concat('"', base64Encode(assumeNotNull($1.bytes_value)), '"'),
    'null'
)
