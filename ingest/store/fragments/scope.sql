Tuple(name String, version String, attributes ${key_values}, ${plain_lists})
