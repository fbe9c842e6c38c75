"""The daemon and the people: supervisor, store, zygotes, peers, keys, client, command line."""
