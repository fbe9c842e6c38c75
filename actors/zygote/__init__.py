"""The process that imports a code base once and forks actor processes from it."""
