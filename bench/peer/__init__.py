"""What the sandbox is measured against: run by the Python of ``.venv-peers``, never by ours.

Modules here import the library that they measure by its name when they run: it is no dependency.
"""
