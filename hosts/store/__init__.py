"""Where jobs lie on disk: the ``Store`` protocol and its SQLite implementation."""
