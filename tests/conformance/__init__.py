"""Clients that people use, unchanged, against a running server: ``make conformance``."""
