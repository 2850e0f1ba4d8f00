"""OpenStack Swift's API over the buckets and objects that S3 has: a container is a bucket, an object an object.

Everything here is translation. Reading, writing, listing and rights are S3's operations; what Swift has besides (metadata of accounts and
containers, expiring objects, large objects by manifests, temporary URLs) stands in a configuration of the bucket or among an object's attributes.
The HTTP side is ``mallee.http.swift``.
"""
