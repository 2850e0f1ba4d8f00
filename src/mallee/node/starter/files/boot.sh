#!/bin/sh
# Brings the instance up: disk, network, metadata, ssh. What does not depend on each other runs side by side.
export PATH=/sbin:/usr/sbin:/bin:/usr/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm
mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t tmpfs -o mode=755,nosuid,nodev run /run
mount -t tmpfs -o mode=1777,nosuid,nodev shm /dev/shm
. /etc/mallee/imds

uptime_now() { read -r now _ < /proc/uptime; }
instance=
[ -r /sys/class/dmi/id/board_asset_tag ] && read -r instance < /sys/class/dmi/id/board_asset_tag
state=/var/lib/cloud/data
known=
[ -r $state/instance-id ] && read -r known < $state/instance-id
uptime_now; began=$now

resize2fs /dev/vda > /run/resize.log 2>&1 &
host_key=/etc/dropbear/dropbear_ed25519_host_key
make_host_key() { rm -f $host_key; dropbearkey -t ed25519 -f $host_key > /run/host-key 2>/dev/null; }
case $instance in i-*) ;; *) instance= ;; esac
key_job=
if [ ! -s $host_key ] || { [ -n "$instance" ] && [ "$instance" != "$known" ]; }; then make_host_key & key_job=$!; fi

ip link set lo up
for device in /sys/class/net/eth*; do
    name=${device##*/}
    [ "$name" = 'eth*' ] && continue
    ip link set "$name" up
    if [ "$name" = eth0 ]; then
        udhcpc -i eth0 -b -t 10 -T 1 -A 3 -s /etc/mallee/dhcp -p /run/udhcpc.eth0 -O mtu -O search > /dev/null 2>&1
    else
        udhcpc -i "$name" -b -t 3 -T 1 -A 30 -s /etc/mallee/dhcp -p "/run/udhcpc.$name" -O mtu > /dev/null 2>&1 &
    fi
done
uptime_now; network=$now

if [ -z "$instance" ] || [ "$instance" != "$known" ]; then
    imds_token=$(imds_token)
    (umask 077; echo "$imds_token" > /run/imds-token)
    [ -n "$instance" ] || instance=$(imds meta-data/instance-id)
    if [ "$instance" != "$known" ]; then
        key=$(imds meta-data/public-keys/0/openssh-key)
        if [ -n "$key" ]; then
            echo "$key" > /home/ec2-user/.ssh/authorized_keys
            chown ec2-user:ec2-user /home/ec2-user/.ssh/authorized_keys
            chmod 600 /home/ec2-user/.ssh/authorized_keys
        fi
        [ -s /run/hostname ] || imds meta-data/local-hostname > /run/hostname
        [ -z "$key_job" ] && [ -n "$known" ] && { make_host_key & key_job=$!; }
        echo "$instance" > $state/instance-id
    fi
fi
if [ -s /run/hostname ]; then
    read -r full < /run/hostname
    echo "${full%%.*}" > /etc/hostname
    printf '127.0.0.1 localhost\n127.0.1.1 %s %s\n' "$full" "${full%%.*}" > /etc/hosts
fi
[ -s /etc/hostname ] && hostname -F /etc/hostname

[ -n "$key_job" ] && wait $key_job
dropbear -r $host_key -s -w -P /run/dropbear.pid
uptime_now
echo "mallee-ready instance=$instance uptime=$now userspace=$began network=$network" > /dev/console

[ -s /run/host-key ] || dropbearkey -y -f $host_key > /run/host-key
{
    read -r host < /etc/hostname
    while read -r first second third; do
        case $first in
            ssh-*) public="$first $second root@$host" ;;
            Fingerprint:) fingerprint=$second ;;
        esac
    done < /run/host-key
    echo "-----BEGIN SSH HOST KEY FINGERPRINTS-----"
    echo "256 $fingerprint root@$host (ED25519)"
    echo "-----END SSH HOST KEY FINGERPRINTS-----"
    echo "-----BEGIN SSH HOST KEY KEYS-----"
    echo "$public"
    echo "-----END SSH HOST KEY KEYS-----"
} > /dev/console
for module in /lib/modules/boot/*.ko; do insmod "$module"; done
exit 0
