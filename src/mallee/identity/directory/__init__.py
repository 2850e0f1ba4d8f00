"""Users and groups from a directory (LDAP, Active Directory): what is configured, read, planned and written.

``configuration`` reads the document that says how (Eucalyptus's LIC), ``client`` asks the directory, ``plan`` decides, without
touching anything, what has to change here, ``synchronisation`` changes it. Only identities come from the directory: policies,
access keys and certificates stay here, and passwords stay there (a sign-in binds to the directory).
"""
