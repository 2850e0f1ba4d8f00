"""The word of identity providers outside the cloud: OpenID Connect tokens and SAML assertions, believed or not.

``fetching`` gets an issuer's documents, ``oidc`` keeps its keys and reads tokens, ``saml`` reads assertions. What they answer are
plain records of what the provider says; whether a role trusts in it is for STS to ask.
"""
