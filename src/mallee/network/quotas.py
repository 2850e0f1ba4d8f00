"""How much of each thing one account may have, as AWS's quotas are before anybody asks for more.

``INSTANCES`` is only reported (DescribeAccountAttributes says itself that it limits nothing): the hosts' capacity does.
"""

RULES_PER_GROUP = 60  # in each direction
GROUPS_PER_INTERFACE = 5
GROUPS_PER_REGION = 2500
ELASTIC_ADDRESSES = 5
INSTANCES = 20
