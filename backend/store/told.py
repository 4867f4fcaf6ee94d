"""What whoever asks is told of an error of ours, in an answer or in what is kept for them."""

from __future__ import annotations

import logging

from backend.errors import PythonCoderError, StoreUnavailable
from backend.request_context import current_request
from backend.store.database import LOCAL_OWNER


def told(error: PythonCoderError) -> str:
    """The words of an error: where things are kept is for the operator.

    Without keys whoever asks is the operator. Else, and where nobody knows who asks, the log has it.
    """
    who = current_request()
    is_operator = who.owner == LOCAL_OWNER and not who.key_id
    if is_operator or not isinstance(error, StoreUnavailable):
        return str(error)
    logging.getLogger("backend.api").warning("What is kept cannot be used: %s", error)
    return (
        "The server cannot keep anything at the moment, nor look up what it kept: its log says why. "
        "Try again in a moment, or tell whoever runs it."
    )
