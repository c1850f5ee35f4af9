"""Pinch: image optimization that anybody can host for the price of the requests they make."""
