"""The hand-off of a job between two supervisors: two-phase commit with presumed abort, as pure machines.

``table`` has the states and transitions of both sides, ``source`` and ``target`` what each side does,
``effects`` what they ask of the supervisor, ``strays`` the answers to messages of hand-offs that are
dead or unknown, ``crash_points`` the names under which tests kill a host in the middle of it.
"""
