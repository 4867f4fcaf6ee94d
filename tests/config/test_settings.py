from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from dotenv import dotenv_values

from backend.config.settings import Settings, load_settings
from backend.errors import SettingsError

ROOT = Path(__file__).parents[2]


def test_the_documented_defaults_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTHON_CODE_EXECUTION_DIR", "PYTHON_CODER_DATA_DIR", "OLLAMA_HOST"):
        monkeypatch.delenv(name)
    settings = load_settings()
    assert settings.enabled is True
    assert settings.timeout_s == 30
    assert settings.max_memory_mb == 512
    assert settings.execution_dir == Path("data/code_execution")
    assert settings.max_iterations == 3
    assert settings.allow_partial_execution is False
    assert settings.max_file_size_mb == 50
    assert settings.model == "ollama:gpt-oss:20b"
    assert settings.ollama_url == "http://127.0.0.1:11434"
    assert settings.data_dir == Path("data")
    assert settings.max_retries == 3


def test_the_environment_beats_dotenv_beats_yaml(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = ("PYTHON_CODE_TIMEOUT", "PYTHON_CODE_MAX_ITERATIONS", "PYTHON_CODE_MAX_MEMORY")
    (tmp_path / "python-coder.yaml").write_text("".join(f"{name}: 40\n" for name in variables))
    (tmp_path / ".env").write_text("PYTHON_CODE_TIMEOUT=50\nPYTHON_CODE_MAX_ITERATIONS=5\n")
    monkeypatch.setenv("PYTHON_CODE_TIMEOUT", "60")
    # 40 rewrites are not allowed, so this also shows that the weaker value is not even read.
    settings = load_settings()
    assert (settings.timeout_s, settings.max_iterations, settings.max_memory_mb) == (60, 5, 40)


@pytest.mark.parametrize("place", ["python-coder.yaml", "xdg/python-coder/config.yaml"])
def test_a_yaml_file_is_found_where_documented(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_text("PYTHON_CODE_TIMEOUT: 7\n")
    assert load_settings().timeout_s == 7


def test_a_named_file_is_used_instead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("PYTHON_CODE_TIMEOUT=50\n")
    (tmp_path / "other.env").write_text("PYTHON_CODE_TIMEOUT=51\n")
    monkeypatch.setenv("PYTHON_CODER_ENV_FILE", "other.env")
    assert load_settings().timeout_s == 51


def test_a_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CODER_CONFIG", "absent.yaml")
    with pytest.raises(SettingsError, match=r"PYTHON_CODER_CONFIG is 'absent.yaml'"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PYTHON_CODE_TIMEOUT", "soon"),
        ("PYTHON_CODE_TIMEOUT", "-1"),
        ("PYTHON_CODE_TIMEOUT", "nan"),
        ("PYTHON_CODE_ENABLED", "perhaps"),
        ("PYTHON_CODE_MAX_MEMORY", "1"),
        ("PYTHON_CODE_MAX_ITERATIONS", "-1"),
        ("PYTHON_CODE_MAX_FILE_SIZE", "many"),
        ("PYTHON_CODER_MODEL", "qwen3"),
        ("PYTHON_CODER_KEEP_ALIVE", "a while"),
        ("PYTHON_CODER_PORT", "70000"),
        ("OLLAMA_HOST", "http://[::1"),
        ("OLLAMA_HOST", "box:99999"),
        ("OLLAMA_HOST", "http://box:port"),
        ("OLLAMA_HOST", "ftp://box"),
        ("OLLAMA_HOST", "my box"),
        ("OLLAMA_HOST", "http://"),
        ("OPENAI_BASE_URL", "localhost:8080/v1"),
    ],
)
def test_a_bad_value_names_variable_value_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    assert name in message
    assert value in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("name", "value", "field"),
    [
        ("HOST", "x86_64-conda-linux-gnu", "host"),
        ("PORT", "3000", "port"),
        ("MODEL", "m", "model"),
        ("ALLOW_NETWORK", "true", "allow_network"),
        ("log_level", "debug", "log_level"),
    ],
)
def test_what_other_programs_keep_in_the_environment_is_no_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, field: str
) -> None:
    monkeypatch.setenv(name, value)
    (tmp_path / ".env").write_text(f"{name}={value}\n")
    assert getattr(load_settings(), field) == Settings.model_fields[field].default


@pytest.mark.parametrize(
    ("file", "text", "remedy"),
    [
        (".env", "PYTHON_CODER_MODLE=ollama:m", "PYTHON_CODER_MODEL?"),
        (".env", "python_code_time_out=7", "PYTHON_CODE_TIMEOUT?"),
        ("python-coder.yaml", "PYTHON_CODER_PROT: 7", "PYTHON_CODER_PORT?"),
        ("python-coder.yaml", "colour: red", ".env.example"),
    ],
)
def test_a_name_that_is_no_setting_is_told_with_the_one_that_may_be_meant(
    tmp_path: Path, file: str, text: str, remedy: str
) -> None:
    (tmp_path / file).write_text(f"{text}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert (
        caught.value.what == f"{text.replace(':', '=').split('=')[0]} in {file} is not a setting."
    )
    assert remedy in caught.value.remedy


def test_a_slip_in_the_environment_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON_CODE_TIME_OUT", "7")
    with pytest.raises(SettingsError, match="PYTHON_CODE_TIMEOUT"):
        load_settings()


def test_names_of_other_programs_may_stand_in_dotenv(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=mine\nPYTHONPATH=src\n")
    assert load_settings().timeout_s == 30


@pytest.mark.parametrize(
    "text", ["- a list\n", "a: b: c\n", "\x00\n"], ids=["list", "malformed", "control characters"]
)
def test_a_broken_yaml_file_is_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "python-coder.yaml").write_text(text)
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("value", "expected"), [("64", 64), ("64 MB", 64), ("64MiB", 64), ("64M", 64)]
)
def test_units_may_be_written(monkeypatch: pytest.MonkeyPatch, value: str, expected: int) -> None:
    monkeypatch.setenv("PYTHON_CODE_MAX_MEMORY", value)
    assert load_settings().max_memory_mb == expected


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:11434"),
        ("box:1234", "http://box:1234"),
        ("0.0.0.0:11434", "http://127.0.0.1:11434"),
        ("https://models.example.org", "https://models.example.org"),
        ("http://box/", "http://box:11434"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(
    monkeypatch: pytest.MonkeyPatch, host: str, url: str
) -> None:
    monkeypatch.setenv("OLLAMA_HOST", host)
    assert load_settings().ollama_url == url


def test_settings_cannot_be_changed() -> None:
    settings = load_settings()
    with pytest.raises(ValueError, match="frozen"):
        settings.timeout_s = 1


def test_the_example_file_names_every_setting_with_its_default() -> None:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    commented = "\n".join(line.removeprefix("# ") for line in text.splitlines() if "=" in line)
    (Path(".env.all")).write_text(commented, encoding="utf-8")
    assert set(dotenv_values(".env.all")) == {
        str(field.alias) for field in Settings.model_fields.values()
    }
    Path(".env").write_text(text, encoding="utf-8")
    example = Settings(_env_file=None)
    assert example.model_dump(exclude={"execution_dir", "data_dir", "ollama_host"}) == (
        Settings.model_construct().model_dump(exclude={"execution_dir", "data_dir", "ollama_host"})
        | {"openai_base_url": example.openai_base_url}
    )


def test_files_that_may_not_be_read_are_passed_over_or_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0)
    secret = Path(tempfile.mkdtemp()) / "secret.env"
    secret.touch(mode=0)
    secret.parent.chmod(0o755)

    def read(**environment: str) -> str:
        program = """
import os
from backend.config.settings import load_settings
from backend.errors import SettingsError
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    print(load_settings().port)
except SettingsError as error:
    print(error)
"""
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd="/",
            env={"PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout

    try:
        assert read(XDG_CONFIG_HOME=str(closed / "config")) == "8000\n"
        named = read(PYTHON_CODER_ENV_FILE=str(secret))
    finally:
        shutil.rmtree(secret.parent)
    assert f"{str(secret)!r} cannot be read: Permission denied." in named
