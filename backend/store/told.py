"""What whoever asks is told of an error of ours, in an answer or in what is kept for them."""

from __future__ import annotations

import logging

from backend.errors import PythonCoderError, StoreUnavailable
from backend.request_context import current_request
from backend.store.database import LOCAL_OWNER


def told(error: PythonCoderError) -> str:
    """The words of an error: where things are kept, and who is asked where, is for the operator.

    Without keys whoever asks is the operator. Else the log has it; also where nobody knows who asks
    and it is told where things are kept.
    """
    who = current_request()
    is_operator = who.owner == LOCAL_OWNER and not who.key_id
    is_our_own = not who.owner and not isinstance(error, StoreUnavailable)
    words = for_anybody(error)
    if is_operator or is_our_own or words == str(error):
        return str(error)
    logging.getLogger("backend.api").warning("Told without its place: %s", error)
    return words


def for_anybody(error: PythonCoderError) -> str:
    """The words of an error for people who may know no address and no path of the server's."""
    if isinstance(error, StoreUnavailable):
        return (
            "The server cannot keep anything at the moment, nor look up what it kept: its log says "
            "why. Try again in a moment, or tell whoever runs it."
        )
    return error.words
