"""The yardstick beside the service: FastAPI with nothing behind it, on the same uvicorn.

``python -m bench.bare`` prints its address. It reads a JSON body, and answers in one piece or as
three events, as a chat that does nothing would.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

_STOP_S = 10.0


def app() -> FastAPI:
    """Two endpoints that do as little as such can."""
    bare = FastAPI(openapi_url=None)

    @bare.post("/plain")
    async def plain(request: Request) -> Response:
        body = await request.json()
        return JSONResponse({"said": body["messages"][0]["content"]})

    @bare.post("/stream")
    async def stream(request: Request) -> Response:
        await request.json()

        async def events() -> AsyncIterator[str]:
            for number in range(3):
                yield f"data: {json.dumps({'number': number})}\n\n"
            yield "data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")

    return bare


@asynccontextmanager
async def bare_server() -> AsyncIterator[str]:
    """Its address, served by a process of its own until the context ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.bare"),
        env=os.environ,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        yield (await process.stdout.readline()).decode().strip()
    finally:
        process.terminate()
        async with asyncio.timeout(_STOP_S):
            await process.wait()


def main() -> None:
    """Serve until told to stop."""
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(app(), log_level="critical", access_log=False)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
