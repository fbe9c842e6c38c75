"""The routines of ``sojourn demo``: part of the package, so that the demonstration works from a wheel."""
