#!/bin/sh
# What udhcpc calls with a lease: address, routes, names.
case $1 in
    deconfig) ip link set "$interface" up ;;
    bound | renew)
        ifconfig "$interface" "$ip" netmask "${subnet:-255.255.255.0}" ${mtu:+mtu "$mtu"}
        metric=${interface#eth}
        for gateway in $router; do
            ip route replace default via "$gateway" dev "$interface" metric "$metric" 2>/dev/null ||
                { ip route replace "$gateway" dev "$interface"; ip route replace default via "$gateway" dev "$interface" metric "$metric"; }
            break
        done
        [ "$interface" = eth0 ] || exit 0
        {
            [ -n "${search:-$domain}" ] && echo "search ${search:-$domain}"
            for server in $dns; do echo "nameserver $server"; done
        } > /etc/resolv.conf
        if [ -n "$hostname" ]; then
            case $hostname in *.*) echo "$hostname" ;; *) echo "$hostname${domain:+.$domain}" ;; esac > /run/hostname
        fi
        ;;
esac
exit 0
