multiIf(
    isNotNull($1.string_value), toJSONString(assumeNotNull($1.string_value)),
    isNotNull($1.int_value), toString(assumeNotNull($1.int_value)),
    isNotNull($1.bool_value), toString(assumeNotNull($1.bool_value)),
    isNotNull($1.double_value), toJSONString(assumeNotNull($1.double_value)),
    isNotNull($1.bytes_value), concat('"', base64Encode(assumeNotNull($1.bytes_value)), '"'),
    'null'
)
