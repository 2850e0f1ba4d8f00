"""Objects: S3, and OpenStack Swift's API over the same buckets. Bytes in an engine, names in an index, rights in identity's policy engine."""
