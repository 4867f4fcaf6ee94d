"""Runs each program in a bubblewrap-walled process of its own on this machine."""
