#!/bin/sh
# ec2-user is the administrator here: as on EC2, without a password. Options that scripts give habitually are accepted.
while :; do
    case $1 in
        -n | -E | -H | -S) shift ;;
        -i | -s) shift; [ $# -eq 0 ] && exec su -l root; break ;;
        --) shift; break ;;
        -*) echo "sudo: $1 is not supported here" >&2; exit 1 ;;
        *) break ;;
    esac
done
[ $# -eq 0 ] && { echo "usage: sudo [-i] [command [argument ...]]" >&2; exit 1; }
exec su root -c 'exec "$0" "$@"' -- "$@"
