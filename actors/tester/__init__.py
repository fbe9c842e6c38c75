"""``FlowTester``: whole flows in one process and virtual time, for users' tests."""
