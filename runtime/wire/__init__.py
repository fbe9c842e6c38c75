"""The messages that cross process and host boundaries, one file per boundary, and their codec."""
