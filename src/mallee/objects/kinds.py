"""The kinds of configurations that buckets have, named as S3's sub-resources are but for one, and what the document of each is: the member of that
name in the input of its Put operation.

A bucket without a ``PUBLIC_ACCESS_BLOCK`` blocks nothing; without ``REQUEST_PAYMENT`` its owner pays.
Versioning, ownership, ACL and policy are columns of the bucket itself.
"""

from __future__ import annotations

from typing import Final

ACCELERATE: Final = "accelerate"  # AccelerateConfiguration
CORS: Final = "cors"  # CORSConfiguration
ENCRYPTION: Final = "encryption"  # ServerSideEncryptionConfiguration
LIFECYCLE: Final = "lifecycle"  # LifecycleConfiguration, each rule with an ID, and TransitionDefaultMinimumObjectSize
LOGGING: Final = "logging"  # BucketLoggingStatus
NOTIFICATION: Final = "notification"  # NotificationConfiguration
QUOTA: Final = "mallee-quota"  # Bytes and Objects, either or both: Mallee's own, set by administrators
OBJECT_LOCK: Final = "object-lock"  # ObjectLockConfiguration
PUBLIC_ACCESS_BLOCK: Final = "PublicAccessBlock"  # PublicAccessBlockConfiguration, all four members (see public_access.py)
REPLICATION: Final = "replication"  # ReplicationConfiguration, each rule with an ID
REQUEST_PAYMENT: Final = "requestPayment"  # RequestPaymentConfiguration
TAGGING: Final = "tagging"  # Tagging
WEBSITE: Final = "website"  # WebsiteConfiguration

ANALYTICS: Final = "analytics"  # many, by their Id; so are the next three
INTELLIGENT_TIERING: Final = "intelligent-tiering"
INVENTORY: Final = "inventory"
METRICS: Final = "metrics"
