# Instance metadata, sourced by the other scripts. Version 2 (a token first), version 1 where no token is given.
# busybox wget knows no PUT, hence nc; its -T is unreliable in the static build, hence timeout.
imds_host=169.254.169.254

imds_token() {
    printf 'PUT /latest/api/token HTTP/1.0\r\nHost: %s\r\nX-aws-ec2-metadata-token-ttl-seconds: 300\r\nContent-Length: 0\r\n\r\n' \
        $imds_host | timeout 3 nc $imds_host 80 2>/dev/null | {
        read -r _ status _
        [ "$status" = 200 ] || exit 1
        while IFS= read -r line && [ "$line" != "$carriage_return" ]; do :; done
        IFS= read -r token
        echo "$token"
    }
}

imds() {
    if [ -n "$imds_token" ]; then
        timeout 5 wget -q -O - --header "X-aws-ec2-metadata-token: $imds_token" "http://$imds_host/latest/$1" 2>/dev/null
    else
        timeout 5 wget -q -O - "http://$imds_host/latest/$1" 2>/dev/null
    fi
}

carriage_return=$(printf '\r')
