"""Bytes in, bytes out: decode, steps, encode. This package knows nothing about HTTP or AWS."""
