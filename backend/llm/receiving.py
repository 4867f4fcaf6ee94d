"""What arrives of a reply: words to whoever watches, tokens counted, and judged at its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from backend.errors import BadReply, ContextExceeded
from backend.llm.failures import ServerFailure, StreamEndedEarly, translate
from backend.llm.letters import whole_letters
from backend.llm.thinking import Thinking
from backend.llm.tool_calls import FirstCall
from backend.llm.wire import Piece, Question, Server

MAX_CHARS_PER_TOKEN = 64
"""The longest tokens are long runs of blanks. A reply with more characters than this for each token
that was allowed comes from a server that does not stop."""
MIN_BOUND_CHARS = 200_000
_BY_A_CALL = ("tool_calls", "function_call")
_WELL_ENDED = ("stop", *_BY_A_CALL)


class Watcher:
    """Shows an answer's words as they come, over more than one attempt.

    Words cannot be taken back. A second attempt that begins with what was already shown goes on
    silently; one that differs is shown from its beginning, after an empty line.
    """

    def __init__(self, on_text: Callable[[str], None] | None) -> None:
        self._on_text = on_text
        self._shown = ""
        self._replay = ""
        self._held = ""

    def begin(self) -> None:
        """A new attempt starts."""
        self._replay, self._held = self._shown, ""

    def show(self, words: str) -> None:
        """Pass words on, or hold them while they repeat what was shown."""
        if self._replay:
            self._held += words
            if self._replay.startswith(self._held):
                return
            repeats = self._held.startswith(self._replay)
            words = self._held[len(self._replay) :] if repeats else f"\n\n{self._held}"
            self._replay = ""
        if words and self._on_text is not None:
            self._shown += words
            self._on_text(words)

    def end(self) -> None:
        """The reply is whole: show what is still held, if it ended before what was shown."""
        if self._replay and self._held and self._held != self._replay:
            self._replay = ""
            self.show(f"\n\n{self._held}")


@dataclass(kw_only=True)
class Received:
    """One attempt's reply, growing while it arrives."""

    model: str
    server: Server
    question: Question
    watcher: Watcher
    done_reason: str | None = None
    input_tokens: int = 0
    told_output_tokens: int = 0
    pieces: int = 0
    thinking: Thinking = field(default_factory=Thinking)
    reasoning: str = ""
    """Thoughts that came in a field of their own."""
    call: FirstCall = field(default_factory=FirstCall)

    @property
    def text(self) -> str:
        """The words, without thoughts; where a tool was called, the call (see ``tool_calls``)."""
        words = self.thinking.words
        return self.call.as_text(words, self.question.tools) if self.call else words

    @property
    def thoughts(self) -> str:
        """What the model thought, wherever it put it."""
        return (self.reasoning + self.thinking.thoughts).strip()

    @property
    def output_tokens(self) -> int:
        """As told; of a reply that broke off, its pieces, since servers send a token a piece."""
        return self.told_output_tokens or self.pieces

    async def read(self, pieces: AsyncIterator[Piece]) -> None:
        """Take everything that comes, and judge it at the end.

        Raises:
            ServerFailure: the reply is not one that ended by itself with words in it.
        """
        self.watcher.begin()
        most = max(MIN_BOUND_CHARS, self.question.max_tokens * MAX_CHARS_PER_TOKEN)
        arrived = 0
        async for piece in pieces:
            arrived += len(piece.text) + len(piece.thinking)
            arrived += sum(len(part.name) + len(part.arguments) for part in piece.tool_calls)
            if arrived > most:
                did = f"wrote more than {most} characters and did not come to an end"
                raise self._bad("length", did, self._length_remedy())
            self.pieces += bool(piece.text or piece.thinking or piece.tool_calls)
            for part in piece.tool_calls:
                self.call.take(part)
            self.reasoning += whole_letters(piece.thinking)
            self.done_reason = piece.done_reason or self.done_reason
            self.input_tokens += piece.input_tokens
            self.told_output_tokens += piece.output_tokens
            self.watcher.show(self.thinking.feed(whole_letters(piece.text)))
        self.watcher.show(self.thinking.finish())
        error = self._complaint()
        if error is not None:
            raise error
        self.watcher.end()

    def _complaint(self) -> ServerFailure | None:
        if self.done_reason is None:
            ended = StreamEndedEarly("the stream ended before the reply did")
            return translate(ended, model=self.model, server=self.server)
        if self.done_reason == "load":
            loaded = ValueError("no data received")
            return translate(loaded, model=self.model, server=self.server)
        if self._context_is_full():
            return self.cut_prompt()
        if self.done_reason == "length":
            return self._bad("length", "did not come to an end", self._length_remedy())
        if self.done_reason not in _WELL_ENDED:
            return self._bad("", f"ended with {self.done_reason!r}", "Ask again, or differently.")
        if self.done_reason in _BY_A_CALL and not self.call:
            did = "called a tool, but no call arrived that can be read"
            return self._bad("tool_parse", did, "Ask again, or use another model.")
        if not self.text.strip():
            only = "only thought" if self.thoughts else "answered nothing"
            return self._bad("empty", only, "Ask again, or use another model.")
        return None

    def _bad(self, reason: str, did: str, remedy: str) -> ServerFailure:
        return ServerFailure(BadReply(self._what(did), remedy, reason=reason, partial=self.text))

    def _what(self, did: str) -> str:
        return (
            f"The model {self.model!r} {did} (stage {self.question.stage}; "
            f"{self.input_tokens} tokens in, {self.output_tokens} out)."
        )

    def _context_is_full(self) -> bool:
        num_ctx = self.server.num_ctx
        return self.server.counts and num_ctx is not None and self.input_tokens >= num_ctx

    def cut_prompt(self) -> ServerFailure:
        """The failure for a prompt of which the server read only a part."""
        what = self._what("read only a part of the question")
        return ServerFailure(ContextExceeded(what, self.server.context_remedy, partial=self.text))

    def _length_remedy(self) -> str:
        num_ctx = self.server.num_ctx
        if num_ctx is not None and self.input_tokens + self.output_tokens >= num_ctx:
            return self.server.context_remedy
        return (
            f"Allow more than {self.question.max_tokens} tokens with {self.question.limit_name}, "
            "or ask for less at once."
        )
