"""The routes: one blueprint for each API."""
