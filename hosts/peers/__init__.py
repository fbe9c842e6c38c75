"""Other hosts: keys, invitations, and the CURVE connections to paired supervisors."""
