"""Where the bytes of objects are: on local disks or in Ceph, behind one interface (``base``)."""
