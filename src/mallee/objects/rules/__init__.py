"""Pure decisions of S3: no I/O."""
