"""Signatures of requests: pure functions over bytes, without a database, a clock or a service's error form.

``sigv4`` reads and checks the header and the presigned form, ``sigv2`` the old query form, ``chunks`` takes signed
bodies apart. Each raises ``Refused`` with what was wrong; ``refusals`` turns that into the error that AWS's service
would answer.
"""
