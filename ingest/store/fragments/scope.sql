Tuple(name String, version String, attributes ${key_values}, text Map(LowCardinality(String), String))
