"""The supervisor daemon: one single-threaded reactor around the pure engine.

``main`` starts and stops it, ``reactor`` turns rounds, ``core`` holds what its parts share; ``fleet``
keeps zygotes and actor processes, ``desk`` answers clients, ``watching`` those who wait, ``border``
speaks with peers, ``moves`` carries hand-offs out.
"""
