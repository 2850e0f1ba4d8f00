#!/bin/sh
# First program of the ramdisk: loads the virtio drivers in order, mounts the root disk, hands over to its init.
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /modules/order); do /bin/busybox insmod "/modules/$module"; done
turn=0
until /bin/busybox mount -t ext4 -o noatime /dev/vda /root 2>/dev/null; do
    turn=$((turn + 1))
    if [ $turn -gt 100 ]; then
        echo "mallee: there is no root filesystem on /dev/vda" > /dev/console
        exec /bin/busybox poweroff -f
    fi
    /bin/busybox usleep 50000
done
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
