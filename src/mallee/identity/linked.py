"""Service-linked roles: which services have one, under which name, and with which of AWS's policies.

The names and policies are AWS's own (Service Authorization Reference, AWS managed policy reference). A service that has a
role of this kind here, and needs it, says so by ``needed_by``: the role then stays until nothing of the service is left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mallee.store import Tx


@dataclass(frozen=True, slots=True)
class LinkedRole:
    """``policy`` is the name of its managed policy, which is attached if it is one of those that are had here. ``suffix``:
    whether there may be several, told apart by a suffix of the caller's choice."""

    service: str
    name: str
    policy: str
    suffix: bool = False

    @property
    def path(self) -> str:
        return f"/aws-service-role/{self.service}/"

    def named(self, suffix: str | None) -> str:
        return f"{self.name}_{suffix}" if suffix else self.name

    @property
    def trust_policy(self) -> str:
        statement = {"Effect": "Allow", "Principal": {"Service": self.service}, "Action": "sts:AssumeRole"}
        return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


_PREFIX = "AWSServiceRoleFor"
_SCALING = "ApplicationAutoScaling_"

# service (without amazonaws.com), name of the role (without AWSServiceRoleFor), managed policy, whether it takes a suffix
_ROLES: tuple[tuple[str, str, str, bool], ...] = (
    ("access-analyzer", "AccessAnalyzer", "AccessAnalyzerServiceRolePolicy", False),
    ("autoscaling", "AutoScaling", "AutoScalingServiceRolePolicy", True),
    ("autoscaling-plans", "AutoScalingPlans_EC2AutoScaling", "AWSAutoScalingPlansEC2AutoScalingPolicy", False),
    ("backup", "Backup", "AWSBackupServiceLinkedRolePolicyForBackup", False),
    ("batch", "Batch", "BatchServiceRolePolicy", False),
    ("cks.kms", "KeyManagementServiceCustomKeyStores", "AWSKeyManagementServiceCustomKeyStoresServiceRolePolicy", False),
    ("cloudtrail", "CloudTrail", "CloudTrailServiceRolePolicy", False),
    ("config", "Config", "AWSConfigServiceRolePolicy", False),
    ("custom-resource.application-autoscaling", _SCALING + "CustomResource",
     "AWSApplicationAutoScalingCustomResourcePolicy", False),
    ("dax", "DAX", "DAXServiceRolePolicy", False),
    ("dynamodb.application-autoscaling", _SCALING + "DynamoDBTable", "AWSApplicationAutoscalingDynamoDBTablePolicy", False),
    ("ec2.application-autoscaling", _SCALING + "EC2SpotFleetRequest",
     "AWSApplicationAutoscalingEC2SpotFleetRequestPolicy", False),
    ("ec2fleet", "EC2Fleet", "AWSEC2FleetServiceRolePolicy", False),
    ("ecs", "ECS", "AmazonECSServiceRolePolicy", False),
    ("ecs.application-autoscaling", _SCALING + "ECSService", "AWSApplicationAutoscalingECSServicePolicy", False),
    ("eks", "AmazonEKS", "AmazonEKSServiceRolePolicy", False),
    ("eks-fargate", "AmazonEKSForFargate", "AmazonEKSForFargateServiceRolePolicy", False),
    ("eks-nodegroup", "AmazonEKSNodegroup", "AWSServiceRoleForAmazonEKSNodegroup", False),
    ("elasticache", "ElastiCache", "ElastiCacheServiceRolePolicy", False),
    ("elasticbeanstalk", "ElasticBeanstalk", "AWSElasticBeanstalkServiceRolePolicy", False),
    ("elasticfilesystem", "AmazonElasticFileSystem", "AmazonElasticFileSystemServiceRolePolicy", False),
    ("elasticloadbalancing", "ElasticLoadBalancing", "AWSElasticLoadBalancingServiceRolePolicy", False),
    ("elasticmapreduce", "EMRCleanup", "AmazonEMRCleanupPolicy", False),
    ("email.cognito-idp", "AmazonCognitoIdpEmailService", "AmazonCognitoIdpEmailServiceRolePolicy", False),
    ("es", "AmazonElasticsearchService", "AmazonElasticsearchServiceRolePolicy", False),
    ("events", "CloudWatchEvents", "CloudWatchEventsServiceRolePolicy", False),
    ("globalaccelerator", "GlobalAccelerator", "AWSGlobalAcceleratorSLRPolicy", False),
    ("guardduty", "AmazonGuardDuty", "AmazonGuardDutyServiceRolePolicy", False),
    ("imagebuilder", "ImageBuilder", "AWSServiceRoleForImageBuilder", False),
    ("inspector2", "AmazonInspector2", "AmazonInspector2ServiceRolePolicy", False),
    ("ipam", "IPAM", "AWSIPAMServiceRolePolicy", False),
    ("kafka", "Kafka", "KafkaServiceRolePolicy", False),
    ("lakeformation", "LakeFormationDataAccess", "LakeFormationDataAccessServiceRolePolicy", False),
    ("lambda.application-autoscaling", _SCALING + "LambdaConcurrency",
     "AWSApplicationAutoscalingLambdaConcurrencyPolicy", False),
    ("lex", "LexBots", "AmazonLexBotPolicy", False),
    ("lexv2", "LexV2Bots", "AmazonLexV2BotPolicy", True),
    ("macie", "AmazonMacie", "AmazonMacieServiceRolePolicy", False),
    ("memorydb", "MemoryDB", "MemoryDBServiceRolePolicy", False),
    ("opensearchservice", "AmazonOpenSearchService", "AmazonOpenSearchServiceRolePolicy", False),
    ("ops.apigateway", "APIGateway", "APIGatewayServiceRolePolicy", False),
    ("organizations", "Organizations", "AWSOrganizationsServiceTrustPolicy", False),
    ("ram", "ResourceAccessManager", "AWSResourceAccessManagerServiceRolePolicy", False),
    ("rds", "RDS", "AmazonRDSServiceRolePolicy", False),
    ("rds.application-autoscaling", _SCALING + "RDSCluster", "AWSApplicationAutoscalingRDSClusterPolicy", False),
    ("redshift", "Redshift", "AmazonRedshiftServiceLinkedRolePolicy", False),
    ("replication.dynamodb", "DynamoDBReplication", "DynamoDBReplicationServiceRolePolicy", False),
    ("securityhub", "SecurityHub", "AWSSecurityHubServiceRolePolicy", False),
    ("servicequotas", "ServiceQuotas", "ServiceQuotasServiceRolePolicy", False),
    ("spot", "EC2Spot", "AWSEC2SpotServiceRolePolicy", False),
    ("spotfleet", "EC2SpotFleet", "AWSEC2SpotFleetServiceRolePolicy", False),
    ("ssm", "AmazonSSM", "AmazonSSMServiceRolePolicy", False),
    ("sso", "SSO", "AWSSSOServiceRolePolicy", False),
    ("support", "Support", "AWSSupportServiceRolePolicy", False),
    ("transitgateway", "VPCTransitGateway", "AWSVPCTransitGatewayServiceRolePolicy", False),
    ("trustedadvisor", "TrustedAdvisor", "AWSTrustedAdvisorServiceRolePolicy", False),
    ("wafv2", "WAFV2Logging", "WAFV2LoggingServiceRolePolicy", False),
)  # fmt: skip

SERVICES = {
    f"{service}.amazonaws.com": LinkedRole(f"{service}.amazonaws.com", _PREFIX + name, policy, suffix)
    for service, name, policy, suffix in _ROLES
}

Needed = Callable[[Tx, str], Iterable[str]]
_needed: dict[str, list[Needed]] = {}


def needed_by(service: str, function: Needed) -> None:
    """``function(tx, role_id)`` answers the ARNs of what still needs the service's role."""
    _needed.setdefault(service, []).append(function)


def still_needed(tx: Tx, service: str, role_id: str) -> list[str]:
    return [arn for function in _needed.get(service, ()) for arn in function(tx, role_id)]
