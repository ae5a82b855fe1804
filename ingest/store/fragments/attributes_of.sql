-- The attributes of a message as a map: the plain ones, which the loader has written as pairs of strings, and the others.
mapFromArrays(
    arrayConcat(mapKeys(${$1.text}), CAST(${$1.attributes.key}, 'Array(LowCardinality(String))')),
    arrayConcat(mapValues(${$1.text}), arrayMap(any -> ${value_text(any)}, ${$1.attributes.value}))
)
