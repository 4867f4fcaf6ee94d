"""How a server ends: it takes nothing new, lets what is under way finish, and ends the rest honestly.

SIGTERM gives requests under way ``PYTHON_CODER_DRAIN`` seconds; Ctrl-C gives them none, and neither
does a second signal. What is not done by then is cancelled with all that it runs, and its client is
told: 503 and when to ask again, or a line with the error where a stream has begun. A client whose
program has run already is not told to send its request again. Whoever only follows what goes on without
this server is sent away at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backend.api.connections import check_all
from backend.api.errors import stopped_response
from backend.api.event_stream import LAST_WORDS
from backend.api.turns import Turns

CLEAN_UP_S = 10.0
"""Seconds to wait until cancelled requests have ended."""
_LAST_BYTES_S = 2.0
"""Seconds in which clients can take the end of what was sent to them."""
_LOOK_S = 0.01
_TICKS_A_SECOND = 10


class DrainingServer(uvicorn.Server):
    """uvicorn's server with the end described above, and connections that are looked after."""

    def __init__(self, config: uvicorn.Config, *, turns: Turns, drain_s: float) -> None:
        super().__init__(config)
        self._turns = turns
        self._drain_s = drain_s
        self._hurry = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to us: uvicorn raises them again before what we opened has been closed."""
        yield

    def stop(self, number: int) -> None:
        """Begin to end, or hurry if that has begun already.

        Args:
            number: of the signal by which this is asked for.
        """
        if self.should_exit or number == signal.SIGINT:
            self._hurry.set()
        left_s = 0 if self._hurry.is_set() else self._drain_s
        count = len(self.server_state.tasks)
        logging.getLogger("backend.api").info(
            "Told to stop: %d requests get %g seconds", count, left_s
        )
        self.should_exit = True
        self._turns.close()

    async def on_tick(self, counter: int) -> bool:
        """Look after connections once a second."""
        if counter % _TICKS_A_SECOND == 0:
            check_all(self.server_state)
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End as said above; afterwards no request is worked on."""
        state = self.server_state
        for server in self.servers:
            server.close()
        for listener in sockets or ():
            listener.close()
        for connection in list(state.connections):
            connection.shutdown()
        await self._finish()
        for task in state.tasks:
            task.cancel()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=CLEAN_UP_S)
        await self._let_go()

    async def _finish(self) -> None:
        """Wait for the requests under way, for as long as they have."""
        ends = time.monotonic() + self._drain_s
        tasks = self.server_state.tasks
        hurry = asyncio.create_task(self._hurry.wait())
        try:
            while tasks and not hurry.done() and (left_s := ends - time.monotonic()) > 0:
                await asyncio.wait(
                    {*tasks, hurry}, timeout=min(left_s, 1), return_when=asyncio.FIRST_COMPLETED
                )
                check_all(self.server_state)
        finally:
            hurry.cancel()
            with suppress(asyncio.CancelledError):
                await hurry

    async def _let_go(self) -> None:
        for _ in range(round(_LAST_BYTES_S / _LOOK_S)):
            if not self.server_state.connections:
                return
            await asyncio.sleep(_LOOK_S)
        for connection in list(self.server_state.connections):
            connection.transport.abort()


class Farewell:
    """ASGI application around another: a request that the server cancels has an honest end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        has_begun = is_events = is_done = False

        async def noting(message: Message) -> None:
            nonlocal has_begun, is_events, is_done
            if message["type"] == "http.response.start":
                has_begun, is_events = True, _is_of_events(message)
            else:
                is_done = not message.get("more_body", False)
            await send(message)

        try:
            await self._app(scope, receive, noting)
        except asyncio.CancelledError:
            if not has_begun:
                await stopped_response()(scope, receive, send)
            elif is_events and not is_done:
                words = str(scope.get(LAST_WORDS, ""))
                await send({"type": "http.response.body", "body": words.encode()})
            elif not is_done:
                raise


def _is_of_events(message: Message) -> bool:
    return any(
        name.lower() == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in message["headers"]
    )
