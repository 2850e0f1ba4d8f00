"""S3 Select: SQL over one object, ``SelectObjectContent`` without its I/O.

``compile`` makes a Query of the request, ``Query.run`` turns the object's bytes into payloads, ``events`` turns those into
the events of the answer. Everything that is refused is an AwsError with a code of S3's own table (``errors.py``).
"""

from mallee.objects.select.query import Progress, Query, compile

__all__ = ["Progress", "Query", "compile"]
