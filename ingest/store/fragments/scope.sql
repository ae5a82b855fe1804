Tuple(name String, version String, attributes ${key_values}, text_keys LowCardinality(String), text_values String)
