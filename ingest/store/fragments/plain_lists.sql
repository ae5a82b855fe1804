-- Two lists that the loader writes, of the keys and of the values of a message's plain attributes.
text_keys LowCardinality(String), text_values String
