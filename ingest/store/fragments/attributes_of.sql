-- The attributes of a message as a map: the plain ones, which the loader has written as two lists, and the others.
mapFromArrays(
    CAST(
        arrayConcat(${listed($1.text_keys, $1)}, ${$1.attributes.key}),
        'Array(LowCardinality(String))'),
    arrayConcat(${listed($1.text_values, $1)}, arrayMap(any -> ${value_text(any)}, ${$1.attributes.value}))
)
