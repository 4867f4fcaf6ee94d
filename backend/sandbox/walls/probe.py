"""Why the walls do not stand on this machine, and the command that puts it right."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from backend.errors import SandboxUnavailable

_INSTALL = {
    "apt-get": "apt-get install -y bubblewrap",
    "dnf": "dnf install -y bubblewrap",
    "pacman": "pacman -S --noconfirm bubblewrap",
    "zypper": "zypper install -y bubblewrap",
    "apk": "apk add bubblewrap",
}
_IN_DOCKER = (
    "In Docker, start the container with --security-opt seccomp=unconfined "
    "--security-opt apparmor=unconfined --security-opt systempaths=unconfined."
)


def find_bubblewrap() -> str:
    """The absolute path of bubblewrap.

    Raises:
        SandboxUnavailable: it is not installed; names the command that installs it.
    """
    found = shutil.which("bwrap")
    if found is None:
        raise SandboxUnavailable(
            "bubblewrap (bwrap) is not installed, and nothing runs without its walls.",
            f"Run: {install_command()}",
        )
    return os.path.realpath(found)


def install_command() -> str:
    """How this distribution installs bubblewrap."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    for manager, command in _INSTALL.items():
        if shutil.which(manager):
            return sudo + command
    return "install the package 'bubblewrap' of your distribution"


def explain(reason: str) -> SandboxUnavailable:
    """The error for walls that did not stand, with the remedy that fits this machine."""
    line = " ".join(reason.split())[-600:]
    return SandboxUnavailable(f"The sandbox did not start: {line}.", remedy_for(line))


def remedy_for(reason: str) -> str:
    """What to do about a reason that bubblewrap or the kernel gave."""
    if "Unknown option" in reason:
        return f"Install bubblewrap 0.7 or newer: {install_command()}"
    if "seccomp" in reason or "landlock" in reason:
        return f"The kernel or a container forbids it; use a kernel >= 5.13. {_IN_DOCKER}"
    if any(word in reason for word in ("ermitted", "ermission", "denied", "amespace")):
        return blocked_namespaces() or f"Something forbids namespaces here. {_IN_DOCKER}"
    return "Run: python-coder doctor"


def blocked_namespaces() -> str:
    """Which setting of this machine forbids user namespaces, and how to change it; or ''."""
    if _reads("/proc/sys/kernel/unprivileged_userns_clone", "0"):
        return "Run: sudo sysctl -w kernel.unprivileged_userns_clone=1"
    if _reads("/proc/sys/user/max_user_namespaces", "0"):
        return "Run: sudo sysctl -w user.max_user_namespaces=10000"
    if _reads("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1"):
        return (
            "AppArmor forbids it to programs without a profile. Give bwrap one with 'userns,' "
            "(on Ubuntu: sudo apt-get install -y apparmor-profiles && sudo ln -s "
            "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict /etc/apparmor.d/ && "
            "sudo systemctl reload apparmor), or run: "
            "sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
        )
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        return _IN_DOCKER
    return ""


def _reads(path: str, value: str) -> bool:
    try:
        return Path(path).read_text(encoding="ascii").strip() == value
    except OSError:
        return False
