arrayMap((name, text) -> concat(name, '=', text), mapKeys($1), mapValues($1))
