"""The words of an answer that streams, on their way out."""

from __future__ import annotations

from backend.api.answering import cut_at_stop

PIECE_CHARS = 400
"""Characters in an event of words, or of a program, that were there all at once."""


class Words:
    """The answer's words on their way out: each once, none behind a stop sequence.

    They come piece by piece from a model that speaks to the user, and once more, whole, in the
    answer; or only in the answer.
    """

    def __init__(self, stop: tuple[str, ...]) -> None:
        self._stop = stop
        self._held_back = max((len(sequence) for sequence in stop), default=1) - 1
        self._pieces: list[str] = []
        self._tail = ""
        self._is_over = False

    def take(self, piece: str) -> str:
        """What can go out now; as much is held back as could become a stop sequence."""
        self._pieces.append(piece)
        if not self._stop:
            return piece
        if self._is_over:
            return ""
        tail = self._tail + piece
        out = cut_at_stop(tail, self._stop)
        self._is_over = len(out) < len(tail)
        if self._is_over:
            self._tail = ""
        else:
            out = tail[: max(len(tail) - self._held_back, 0)]
            self._tail = tail[len(out) :]
        return out

    def end(self, answer: str) -> list[str]:
        """What is still missing of the answer, in pieces."""
        heard = cut_at_stop("".join(self._pieces), self._stop)
        missing = self._tail
        if not heard.strip():
            missing = answer
        elif not heard.strip().endswith(answer.strip()):
            missing += f"\n\n{answer}"
        return pieces_of(missing)


def pieces_of(text: str) -> list[str]:
    """A text that was there all at once, in parts that are sent one by one."""
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS)]
