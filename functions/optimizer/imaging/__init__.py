"""Bytes in, bytes out: decode, steps, encode. Knows nothing of HTTP or AWS."""
