#!/bin/sh
# Runs the instance's user data once in its life, as root, if it is a script; its output goes to the console.
export PATH=/sbin:/usr/sbin:/bin:/usr/bin HOME=/root
. /etc/mallee/imds
read -r instance < /var/lib/cloud/data/instance-id || exit 0
place=/var/lib/cloud/instances/$instance
[ -e "$place/user-data.begun" ] && exit 0
mkdir -p "$place"
chmod 700 "$place"
[ -r /run/imds-token ] && read -r imds_token < /run/imds-token
imds user-data > "$place/user-data.txt" || { : > "$place/user-data.begun"; exit 0; }
: > "$place/user-data.begun"
[ "$(head -c 2 "$place/user-data.txt")" = '#!' ] || exit 0
chmod 700 "$place/user-data.txt"
cd /
"$place/user-data.txt" < /dev/null > /dev/console 2>&1
code=$?
echo $code > "$place/user-data.ended"
read -r now _ < /proc/uptime
echo "mallee: the user data ended with code $code at $now s" > /dev/console
