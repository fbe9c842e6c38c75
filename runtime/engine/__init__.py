"""The job engine: what happens to jobs, messages and attempts, as pure values.

``model`` holds jobs in memory, ``inputs`` what can happen, ``engine`` what follows from it. Nothing in
here knows a process, a socket, a disk or a clock: rows to write come out as ``Writes``.
"""
