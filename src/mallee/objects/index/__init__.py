"""The index of objects: which versions each key of each bucket has, and where their bytes are."""
