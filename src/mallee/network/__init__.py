"""Networks: VPCs and what is in them, interfaces, public addresses and security groups.

Every change here that a host must know of raises the generation of the hosts concerned in the same transaction;
``projection`` computes what they then shall have. Other domains use ``interfaces``, ``groups``, ``addresses`` and
``places``; the tables in ``records`` are this domain's own.
"""
