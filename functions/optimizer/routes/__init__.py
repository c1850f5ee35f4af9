"""One blueprint per protocol that clients speak."""
