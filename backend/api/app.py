"""The HTTP application: its routers, its guard, and what it opens."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from backend.api import (
    chat,
    execute,
    files,
    health,
    keys,
    metrics,
    models,
    run_decisions,
    runs,
    sessions,
)
from backend.api.background import open_background
from backend.api.description import install_description
from backend.api.errors import install_error_handlers
from backend.api.guard import Gate
from backend.api.responses import containers
from backend.api.responses import routes as responses
from backend.api.state import open_server
from backend.api.watching import Watched
from backend.config.settings import Settings
from backend.config.version import product_version


def create_app(settings: Settings) -> FastAPI:
    """Build the application; what it needs is opened when it is started, and closed when it stops.

    There are no pages with documentation, because they load scripts from elsewhere;
    ``/openapi.json`` describes everything.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_server(settings) as server, open_background(server) as background:
            app.state.server = server
            app.state.background = background
            yield

    app = FastAPI(
        title="python-coder",
        version=product_version(),
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    install_error_handlers(app)
    app.add_middleware(Gate, settings=settings)
    if settings.cors_allowed:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_allowed,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["*"],
        )
    app.add_middleware(Watched)
    for module in (
        chat,
        models,
        files,
        execute,
        runs,
        run_decisions,
        sessions,
        keys,
        health,
        metrics,
        responses,
        containers,
    ):
        app.include_router(module.router)
    install_description(app)
    return app
