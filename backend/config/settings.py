"""Every setting, with its unit, default and reason: read at the edges, passed down, never global.

Strength, strongest first: the environment, ``.env``, a YAML file, the default. The files:

* ``.env`` in the working directory; another one when ``PYTHON_CODER_ENV_FILE`` names it;
* the YAML file that ``PYTHON_CODER_CONFIG`` names; else ``python-coder.yaml`` in the working
  directory; else ``$XDG_CONFIG_HOME/python-coder/config.yaml`` (``~/.config/...``).

The keys are the same everywhere: the variables' names. A file that a variable names must exist. A
name that begins like ours and is no setting is refused: a slip would change nothing, silently.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from backend.config import values
from backend.config.names import refuse_unknown
from backend.config.stages import StageOptions, parse_stages
from backend.config.tool_list import BUILT_IN_TOOLS, read_tool_list
from backend.config.values import Mebibytes, Seconds
from backend.errors import SettingsError
from backend.types import ApprovalMode, Stage


class Settings(BaseSettings):
    """The whole configuration, immutable. Field names are the variables' names, shortened.

    Only the whole name is read anywhere: HOST, PORT and MODEL in an environment are others'.
    """

    model_config = SettingsConfigDict(
        frozen=True,
        extra="ignore",
        case_sensitive=False,
        env_ignore_empty=True,
    )

    # --- running code
    enabled: bool = Field(True, alias="PYTHON_CODE_ENABLED")
    """Off: the tool refuses and the router does not choose it."""
    timeout_s: Seconds = Field(30, alias="PYTHON_CODE_TIMEOUT", gt=0, le=3600)
    """Wall-clock seconds one program may take."""
    max_memory_mb: Mebibytes = Field(512, alias="PYTHON_CODE_MAX_MEMORY", ge=32, le=1_048_576)
    """MiB one program may use, all its processes together."""
    execution_dir: Path = Field(Path("./data/code_execution"), alias="PYTHON_CODE_EXECUTION_DIR")
    """Where input files are staged for a run; each run's folder is removed with the run."""
    max_iterations: int = Field(3, alias="PYTHON_CODE_MAX_ITERATIONS", ge=0, le=20)
    """Rewrites before a run, after findings of the static check or the review."""
    allow_partial_execution: bool = Field(False, alias="PYTHON_CODE_ALLOW_PARTIAL_EXECUTION")
    """Run a program that still has findings, if none is about security or syntax."""
    max_file_size_mb: Mebibytes = Field(50, alias="PYTHON_CODE_MAX_FILE_SIZE", ge=1, le=102_400)
    """MiB a single input file may have."""
    max_retries: int = Field(3, alias="CODE_GENERATION_MAX_RETRIES", ge=0, le=20)
    """Repairs after failed runs, beside the rewrites before a run."""
    review: bool = Field(True, alias="PYTHON_CODE_REVIEW")
    """Let the model review each program before it runs: one call more for each."""
    executor: str = Field("local", alias="PYTHON_CODE_EXECUTOR")
    """Which executor runs programs."""
    max_output_kb: int = Field(256, alias="PYTHON_CODE_MAX_OUTPUT", ge=1, le=65_536)
    """KiB kept of each of stdout and stderr, half from the head and half from the tail."""
    max_disk_mb: Mebibytes = Field(256, alias="PYTHON_CODE_MAX_DISK", ge=1, le=65_536)
    """MiB one program may write."""
    max_processes: int = Field(64, alias="PYTHON_CODE_MAX_PROCESSES", ge=1, le=4096)
    """Processes and threads one program may have at a time."""
    max_parallel_runs: int = Field(0, alias="PYTHON_CODE_MAX_PARALLEL", ge=0, le=1024)
    """Programs that run at the same time; 0 means twice the processors."""
    allow_network: bool = Field(False, alias="PYTHON_CODE_ALLOW_NETWORK")
    """Give programs the host's network. Takes down that wall, and every result says so."""
    interpreter: Path | None = Field(None, alias="PYTHON_CODE_INTERPRETER")
    """The Python that programs run with, such as another virtual environment's; else our own."""
    preimport: str = Field(
        "numpy,pandas,matplotlib.pyplot,scipy.stats", alias="PYTHON_CODE_PREIMPORT"
    )
    """Modules imported before a program starts, comma separated, as far as they are there; or none."""
    pool_size: int = Field(0, alias="PYTHON_CODE_POOL_SIZE", ge=0, le=256)
    """Sandboxes kept ready, each for one program; 0 means twice the processors."""
    min_tier: Literal["A", "B", "C"] = Field("B", alias="PYTHON_CODE_MIN_TIER")
    """The least isolation to run with: A with a cgroup, B without, C without namespaces."""
    max_cpu_s: Seconds = Field(0, alias="PYTHON_CODE_MAX_CPU", ge=0)
    """Processor seconds of one program, all its processes together; 0: what its time allows."""
    max_sessions: int = Field(16, alias="PYTHON_CODE_MAX_SESSIONS", ge=1, le=1024)
    """Sessions whose variables are kept alive at a time."""
    session_idle_s: Seconds = Field(1800, alias="PYTHON_CODE_SESSION_IDLE", gt=0)
    """Seconds without a run after which a session's variables are let go."""
    allow_install: bool = Field(False, alias="PYTHON_CODE_ALLOW_INSTALL")
    """Install packages that programs lack, if they are listed; the programs' network stays closed."""
    install_list: Annotated[str, AfterValidator(values.install_list)] = Field(
        "", alias="PYTHON_CODE_INSTALL_LIST"
    )
    """Distributions that may be installed with what they need: ``lifelines, PyYAML>=6,<7``."""

    # --- the model
    model: Annotated[str, AfterValidator(values.provider_and_model)] = Field(
        "ollama:gpt-oss:20b", alias="PYTHON_CODER_MODEL"
    )
    """``ollama:NAME``, ``openai:NAME`` (any compatible endpoint) or ``scripted:FILE``."""
    ollama_host: Annotated[str, AfterValidator(values.ollama_host)] = Field(
        "http://127.0.0.1:11434", alias="OLLAMA_HOST"
    )
    """Where Ollama listens; ``host:port`` is accepted as Ollama itself accepts it."""
    openai_base_url: Annotated[str, AfterValidator(values.http_url_or_empty)] | None = Field(
        None, alias="OPENAI_BASE_URL"
    )
    """The compatible endpoint of ``openai:NAME``."""
    openai_api_key: str | None = Field(None, alias="OPENAI_API_KEY", repr=False)
    """Its key, where it wants one."""
    num_ctx: int = Field(16_384, alias="PYTHON_CODER_NUM_CTX", ge=2048, le=2_000_000)
    """Tokens of context; always sent, because Ollama's own default cuts prompts silently."""
    max_tokens: int = Field(4096, alias="PYTHON_CODER_MAX_TOKENS", ge=64, le=200_000)
    """Tokens one reply may have."""
    temperature: float = Field(0.1, alias="PYTHON_CODER_TEMPERATURE", ge=0, le=2)
    """Low, because code should be the same twice."""
    stages: Annotated[str, AfterValidator(values.stage_list)] = Field(
        "", alias="PYTHON_CODER_STAGES"
    )
    """A stage's own model and options: ``review model=ollama:qwen3:4b temperature=0; repair
    temperature=0.4``. Options: ``model temperature top_p max_tokens seed``; they beat what a
    request asks for, and that beats the settings for all stages."""
    router_model: str = Field("", alias="PYTHON_CODER_ROUTER_MODEL")
    """A model that is asked which agent to take where the router is not sure, ``provider:model`` or
    a bare name; empty: none is."""
    keep_alive: str = Field("30m", alias="PYTHON_CODER_KEEP_ALIVE", pattern=r"^(-1|\d+[smh]?)$")
    """How long Ollama keeps the model loaded; a cold load can take minutes."""
    model_timeout_s: Seconds = Field(300, alias="PYTHON_CODER_MODEL_TIMEOUT", gt=0, le=86_400)
    """Seconds without a token before a model counts as gone; covers a cold load."""
    connect_timeout_s: Seconds = Field(5, alias="PYTHON_CODER_CONNECT_TIMEOUT", gt=0, le=300)
    """Seconds to reach the model server."""

    # --- agents
    max_calls: int = Field(60, alias="PYTHON_CODER_MAX_CALLS", ge=0, le=100_000)
    """Model calls of one request, all its steps and second attempts together; 0: no limit."""
    max_total_tokens: int = Field(
        400_000, alias="PYTHON_CODER_MAX_TOTAL_TOKENS", ge=0, le=1_000_000_000
    )
    """Tokens of one request, prompts and replies together; 0: no limit."""
    max_seconds: Seconds = Field(1800, alias="PYTHON_CODER_MAX_SECONDS", ge=0, le=604_800)
    """Seconds from a request's begin after which no model is asked any more, and a call under way
    is ended; 0: no limit."""
    max_steps: int = Field(5, alias="PYTHON_CODER_MAX_STEPS", ge=1, le=50)
    """Actions of one ReAct request; then the answer is made from what is known."""
    max_plans: int = Field(3, alias="PYTHON_CODER_MAX_PLANS", ge=1, le=10)
    """Plans of one plan-and-execute request, the first one counted."""
    parallel_steps: int = Field(2, alias="PYTHON_CODER_PARALLEL_STEPS", ge=1, le=32)
    """Steps of a plan that are done at the same time, where none waits for another."""
    max_question_chars: int = Field(
        100_000, alias="PYTHON_CODER_MAX_QUESTION", ge=100, le=10_000_000
    )
    """Characters of a question."""
    tools: Annotated[str, AfterValidator(values.tool_list)] = Field(
        ",".join(BUILT_IN_TOOLS), alias="PYTHON_CODER_TOOLS"
    )
    """The house's own tools that agents may use, comma separated; each is listed where it works."""
    mcp_file: Path | None = Field(None, alias="PYTHON_CODER_MCP")
    """A JSON file with the MCP servers whose tools the agents may use; see docs/tools.md."""
    tool_timeout_s: Seconds = Field(60, alias="PYTHON_CODER_TOOL_TIMEOUT", gt=0, le=86_400)
    """Seconds an MCP server may take to start, and a tool of others for each use."""

    # --- keeping and serving
    data_dir: Path = Field(Path("./data"), alias="PYTHON_CODER_DATA_DIR")
    """Files, plots and the embedded database."""
    database_url: str | None = Field(None, alias="DATABASE_URL", repr=False)
    """``postgresql://user:password@host/name`` (needs the extra ``postgres``) or ``sqlite:///file``;
    without it SQLite in the data folder."""
    max_storage_mb: int = Field(10_240, alias="PYTHON_CODER_MAX_STORAGE", ge=0, le=2**30)
    """MiB that the files of one owner may have together, the same bytes once, before more are refused; 0: no limit."""
    keep_runs_days: int = Field(30, alias="PYTHON_CODER_KEEP_RUNS", ge=0, le=36_500)
    """Days that a server keeps runs that are over and were not saved; 0: for ever."""
    host: str = Field("127.0.0.1", alias="PYTHON_CODER_HOST")
    """Address the server binds."""
    port: int = Field(8000, alias="PYTHON_CODER_PORT", ge=0, le=65_535)
    """Port the server binds; 0 lets the system choose."""
    approve: ApprovalMode = Field("off", alias="PYTHON_CODER_APPROVE")
    """Programs the user is asked about before they run: ``off``, ``risky`` or ``always``."""
    cache: bool = Field(True, alias="PYTHON_CODER_CACHE")
    """Answer an identical request from what is kept of the first; not where a chat client asks."""
    public_base_url: Annotated[str, AfterValidator(values.http_url)] | None = Field(
        None, alias="PUBLIC_BASE_URL"
    )
    """Where browsers reach the server, for the links it writes; without it, as it was called."""
    cors_origins: Annotated[str, AfterValidator(values.origin_list)] = Field(
        "", alias="PYTHON_CODER_CORS_ORIGINS"
    )
    """Origins whose pages may call the server, comma separated: ``https://chat.example.org``."""
    rate_limit: int = Field(0, alias="PYTHON_CODER_RATE_LIMIT", ge=0, le=1_000_000)
    """Requests a minute for each API key that has no limit of its own; 0: no limit."""
    max_parallel_requests: int = Field(
        0, alias="PYTHON_CODER_MAX_PARALLEL_REQUESTS", ge=0, le=100_000
    )
    """Requests at a time for each API key that has no limit of its own; 0: no limit."""
    stream_keep_alive_s: Seconds = Field(5, alias="PYTHON_CODER_STREAM_KEEP_ALIVE", gt=0, le=60)
    """Seconds of silence after which a stream says that it is alive; proxies give up after 30."""
    max_requests: int = Field(0, alias="PYTHON_CODER_MAX_REQUESTS", ge=0, le=100_000)
    """Pieces of agent work at a time, of plain chat 64 times as many; 0: 8 a processor, at least 16."""
    max_queue: int = Field(256, alias="PYTHON_CODER_MAX_QUEUE", ge=0, le=1_000_000)
    """Requests that may wait for their turn, fairly shared; and runs of one owner in the background."""
    queue_timeout_s: Seconds = Field(120, alias="PYTHON_CODER_QUEUE_TIMEOUT", gt=0, le=86_400)
    """Seconds a request may wait for its turn."""
    max_connections: int = Field(2048, alias="PYTHON_CODER_MAX_CONNECTIONS", ge=16, le=1_000_000)
    """Connections at a time; beyond, each is answered with 503 and closed."""
    send_timeout_s: Seconds = Field(60, alias="PYTHON_CODER_SEND_TIMEOUT", gt=0, le=3600)
    """Seconds a client may take nothing of its answer before the request is ended."""
    drain_s: Seconds = Field(20, alias="PYTHON_CODER_DRAIN", ge=0, le=3600)
    """Seconds that requests under way get to finish when the server is told to stop."""
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "warning", alias="PYTHON_CODER_LOG_LEVEL"
    )
    """How much the server says of itself on stderr."""
    log_format: Literal["text", "json"] = Field("text", alias="PYTHON_CODER_LOG_FORMAT")
    """As what: ``text`` for people, or ``json``, an object a line without anything users wrote."""
    audit: bool = Field(True, alias="PYTHON_CODER_AUDIT")
    """Put every program on record, in a file a day below the data folder; see docs/operation.md."""
    audit_days: int = Field(90, alias="PYTHON_CODER_AUDIT_DAYS", ge=0, le=36_500)
    """Days after which that record is removed; 0: never."""

    @property
    def max_file_bytes(self) -> int:
        """``max_file_size_mb`` in bytes."""
        return self.max_file_size_mb * 2**20

    @property
    def max_storage_bytes(self) -> int:
        """``max_storage_mb`` in bytes; 0: no limit."""
        return self.max_storage_mb * 2**20

    @property
    def cors_allowed(self) -> tuple[str, ...]:
        """``cors_origins``, read."""
        return tuple(values.http_url(each).lower() for each in values.origins(self.cors_origins))

    @property
    def preimported_modules(self) -> tuple[str, ...]:
        """The names in ``preimport``; the word ``none`` stands for none."""
        names = (name.strip() for name in self.preimport.split(","))
        return tuple(name for name in names if name and name != "none")

    @property
    def tool_names(self) -> tuple[str, ...]:
        """``tools``, read."""
        return read_tool_list(self.tools)

    @property
    def stage_options(self) -> dict[Stage, StageOptions]:
        """``stages``, read."""
        return parse_stages(self.stages)

    @property
    def ollama_url(self) -> str:
        """``ollama_host`` as a URL, with Ollama's own defaults for scheme and port."""
        host = self.ollama_host.strip().rstrip("/")
        if "://" not in host:
            host = f"http://{host}"
        scheme, _, rest = host.partition("://")
        authority = rest.partition("/")[0]
        has_port = authority.rpartition(":")[2].isdigit()
        host = host if has_port or scheme == "https" else f"{host}:11434"
        return host.replace("://0.0.0.0:", "://127.0.0.1:")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order the sources by strength (see the module's head)."""
        dotenv = DotEnvSettingsSource(
            settings_cls, env_file=dotenv_file(), env_file_encoding="utf-8"
        )
        sources: list[PydanticBaseSettingsSource] = [init_settings, env_settings, dotenv]
        if (config := yaml_file()) is not None:
            sources.append(YamlConfigSettingsSource(settings_cls, yaml_file=config))
        return tuple(sources)


def dotenv_file() -> Path | None:
    """The ``.env`` in force, or None."""
    return _named_or_first("PYTHON_CODER_ENV_FILE", Path(".env"))


def yaml_file() -> Path | None:
    """The YAML file in force, or None."""
    config_home = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return _named_or_first(
        "PYTHON_CODER_CONFIG",
        Path("python-coder.yaml"),
        Path(config_home) / "python-coder" / "config.yaml",
    )


def _named_or_first(variable: str, *candidates: Path) -> Path | None:
    named = os.environ.get(variable)
    if named:
        if not _is_file(Path(named)):
            raise SettingsError(
                f"{variable} is {named!r}, which is not a file.",
                "Name one that exists, in a folder that this user may enter.",
            )
        return Path(named)
    return next((path for path in candidates if _is_file(path)), None)


def _is_file(path: Path) -> bool:
    """As far as can be seen: who was given another's HOME, as by ``su``, may not look into it."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def load_settings(**overrides: Any) -> Settings:
    """Read every source once.

    Args:
        **overrides: field names with values that beat every source (a command-line option).

    Raises:
        SettingsError: a value is not allowed, or a name is no setting's; names the variable, the
            value and what is allowed.
    """
    variables = {field: str(info.alias) for field, info in Settings.model_fields.items()}
    try:
        refuse_unknown(variables.values(), dotenv_file(), yaml_file())
        return Settings(**{variables[field]: value for field, value in overrides.items()})
    except ValidationError as error:
        raise SettingsError(_explain(error), "Correct it, or unset it for the default.") from None
    except OSError as error:
        raise SettingsError(
            f"The settings file {str(error.filename)!r} cannot be read: {error.strerror}.",
            "Make it readable for this user.",
        ) from None
    except (yaml.YAMLError, ValueError, TypeError) as error:
        what = " ".join(str(error).split())
        raise SettingsError(
            f"A settings file cannot be read: {what}.",
            "Write one 'NAME: value' pair a line.",
        ) from None


def _explain(error: ValidationError) -> str:
    parts = []
    for fault in error.errors():
        field = str(fault["loc"][0])
        known = Settings.model_fields.get(field)
        name = str(known.alias) if known is not None and known.alias else field
        allowed = fault["msg"].removeprefix("Value error, ")
        parts.append(f"{name.upper()} is {fault['input']!r}: {allowed}.")
    return " ".join(parts)
