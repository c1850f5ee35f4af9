"""Pinch: image optimization that anybody can host for the price of the requests they make."""

__version__ = "0.1.0"
