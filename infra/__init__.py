"""Runs and deploys the product."""
