#!/bin/sh
# aws-query SERVICE ACTION [NAME=VALUE ...]: calls the cloud's API as the role of this instance, and prints the answer.
#
#     aws-query sts GetCallerIdentity
#     aws-query ec2 DescribeInstances InstanceId.1=i-0123456789abcdef0
#
# The credentials come from the metadata service; the request is signed with Signature Version 4, by busybox alone.
# The endpoint is $AWS_ENDPOINT_URL (http only), else the one that every VPC has.
usage() { echo "usage: aws-query SERVICE ACTION [NAME=VALUE ...]" >&2; exit 2; }
[ $# -ge 2 ] || usage
. /etc/mallee/imds
service=$1 action=$2
shift 2

case $service in
    ec2) version=2016-11-15 ;;
    sts) version=2011-06-15 ;;
    iam) version=2010-05-08 ;;
    autoscaling) version=2011-01-01 ;;
    monitoring) version=2010-08-01 ;;
    elasticloadbalancing) version=2015-12-01 ;;
    *) version=${AWS_VERSION:?is the version of the API of $service} ;;
esac

# ---------------------------------------------------------------------------------------------------------- credentials
imds_token=$(imds_token)
region=${AWS_REGION:-$(imds meta-data/placement/region)}
role=$(imds meta-data/iam/security-credentials/) || { echo "aws-query: this instance has no role" >&2; exit 1; }
credentials=$(imds "meta-data/iam/security-credentials/$role") || { echo "aws-query: no credentials now" >&2; exit 1; }
member() { echo "$credentials" | sed -n "s/^ *\"$1\" : \"\(.*\)\",\{0,1\}$/\1/p"; }
key=$(member AccessKeyId) secret=$(member SecretAccessKey) session=$(member Token)
[ -n "$key" ] || { echo "aws-query: $(member Message)" >&2; exit 1; }

# -------------------------------------------------------------------------------------------------------------- request
encoded() { printf %s "$1" | xxd -p | tr -d '\n' | sed 's/../%&/g'; }
body="Action=$action&Version=$version"
for each; do
    case $each in *=*) ;; *) usage ;; esac
    body="$body&$(encoded "${each%%=*}")=$(encoded "${each#*=}")"
done
endpoint=${AWS_ENDPOINT_URL:-http://169.254.169.252}
endpoint=${endpoint%/}
host=${endpoint#http://}
now=$(date -u +%Y%m%dT%H%M%SZ)
day=${now%T*}
kind='application/x-www-form-urlencoded; charset=utf-8'

# ------------------------------------------------------------------------------------------------------------ signature
digest() { sha256sum | cut -c 1-64; }
hex() { printf %s "$1" | xxd -p | tr -d '\n'; }
keyed() { # KEY (hex) MESSAGE: HMAC-SHA256 in hex
    pads=$(echo "$1" | awk '{
        key = $1
        digits = "0123456789abcdef"
        for (at = 0; at < 64; at++) {
            value = 2 * at < length(key) ? 16 * index(digits, substr(key, 2 * at + 1, 1)) + index(digits, substr(key, 2 * at + 2, 1)) - 17 : 0
            inner = inner sprintf("%02x", xor(value, 54))
            outer = outer sprintf("%02x", xor(value, 92))
        }
        print inner, outer
    }')
    inner=$({ echo "${pads% *}" | xxd -r -p; printf %s "$2"; } | digest)
    echo "${pads#* }$inner" | xxd -r -p | digest
}
signed='content-type;host;x-amz-date;x-amz-security-token'
canonical=$(printf 'POST\n/\n\ncontent-type:%s\nhost:%s\nx-amz-date:%s\nx-amz-security-token:%s\n\n%s\n%s' \
    "$kind" "$host" "$now" "$session" "$signed" "$(printf %s "$body" | digest)")
scope=$day/$region/$service/aws4_request
string=$(printf 'AWS4-HMAC-SHA256\n%s\n%s\n%s' "$now" "$scope" "$(printf %s "$canonical" | digest)")
signing=$(hex "AWS4$secret")
for part in "$day" "$region" "$service" aws4_request; do signing=$(keyed "$signing" "$part"); done
signature=$(keyed "$signing" "$string")

timeout 60 wget -q -O - --header "Host: $host" --header "Content-Type: $kind" --header "X-Amz-Date: $now" \
    --header "X-Amz-Security-Token: $session" \
    --header "Authorization: AWS4-HMAC-SHA256 Credential=$key/$scope, SignedHeaders=$signed, Signature=$signature" \
    --post-data "$body" "$endpoint/"
