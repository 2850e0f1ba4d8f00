"""The index: which objects there are, in a database of its own. Bytes are in the engine; a row refers to them by location."""
