"""What whoever asks is told of an error of ours, in an answer or in what is kept for them."""

from __future__ import annotations

import logging

from backend.errors import PythonCoderError, StoreUnavailable
from backend.request_context import current_request
from backend.store.database import LOCAL_OWNER


def told(error: PythonCoderError) -> str:
    """The words of an error for whoever asks.

    The operator (no keys, this machine) gets all of them. Anybody else gets them without the places
    where things are kept or asked, and the log has those. Where nobody is known to ask, only a
    store's failure is shortened.
    """
    if _may_know_all(error) or for_anybody(error) == str(error):
        return str(error)
    logging.getLogger("backend.api").warning("Told without its place: %s", error)
    return for_anybody(error)


def told_what(error: PythonCoderError) -> str:
    """What happened, likewise, as a part of something else that is told."""
    return error.what_and_where if _may_know_all(error) else error.what


def _may_know_all(error: PythonCoderError) -> bool:
    who = current_request()
    is_operator = who.owner == LOCAL_OWNER and not who.key_id
    return is_operator or (not who.owner and not isinstance(error, StoreUnavailable))


def for_anybody(error: PythonCoderError) -> str:
    """The words of an error for people who may know no address and no path of the server's."""
    if isinstance(error, StoreUnavailable):
        return (
            "The server cannot keep anything at the moment, nor look up what it kept: its log says "
            "why. Try again in a moment, or tell whoever runs it."
        )
    return error.words
