mapFromArrays(
    CAST(${$1.key}, 'Array(LowCardinality(String))'),
    arrayMap(any -> ${value_text(any)}, ${$1.value})
)
