"""What supervisors and actor processes agree on: pure values and functions, no I/O of any kind."""
