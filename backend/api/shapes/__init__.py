"""What goes out over HTTP, one noun a module: the description's and the pages' only source.

Nothing is validated or copied by these models when a server runs; a test holds real answers
against the description instead, and a field that it does not name fails there.
"""
