"""The conventions that all resources of EC2's API share: ids, filters, pages, tags and client tokens.

Nothing here knows a particular resource. A domain that owns one (an instance, a subnet) names it to ``resources``
and calls ``filters``, ``paging``, ``tags`` and ``tokens`` from its operations, so that every operation behaves
alike.
"""
