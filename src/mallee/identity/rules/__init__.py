"""Pure decisions: the policy language, and who may do what. No I/O, no clock, no database.

``policy.compile_policy`` reads a document, ``evaluate.decide`` answers a question by the policies that speak to it,
``context.Context`` is what the request says of itself.
"""
