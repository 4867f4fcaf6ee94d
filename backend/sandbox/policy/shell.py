"""The Bash half of the static check: plain harm, by pattern, nothing cleverer."""

from __future__ import annotations

import re
from typing import Final

from backend.types import Issue, Severity

_ROOTS = r"(?:/|~|\$HOME|\$\{HOME\}|/(?:etc|usr|var|home|root|boot|bin|sbin|lib|lib64|dev|opt)\b)"
_START = r"(?:^|[;&|(`]|\b(?:then|do|else|sudo|exec|time|nohup|xargs)\b)\s*"
_STAY = "Work on files in the working directory by their plain names."

_RULES: Final[tuple[tuple[str, str, str, Severity], ...]] = (
    (
        rf"\brm\s+(?:-[\w=-]+\s+)*[\"']?{_ROOTS}[\"']?/?\*?[\"']?(?:\s|;|&|$)",
        "rm of the file system's root, the home or a system folder destroys what is not the program's.",
        _STAY,
        "security",
    ),
    (r"--no-preserve-root", "--no-preserve-root is for destroying the root.", _STAY, "security"),
    (
        r"(?<![\w:.])([\w:.]+)\s*\(\)\s*\{[^}\n]{0,200}?\1\s*\|\s*\1\s*&",
        "This is a fork bomb.",
        "Leave it out.",
        "security",
    ),
    (
        r"(?:\b(?:curl|wget)\b|\bbase64\s+(?:-d|-D|--decode))[^\n;]{0,500}?\|\s*(?:sudo\s+)?(?:\w*sh|python3?|perl|ruby|node)\b",
        "Piping fetched or decoded text into an interpreter runs code nobody has seen.",
        "Write the commands out.",
        "security",
    ),
    (
        r"(?:>\s*|\bof=|\bmkfs[\w.]{0,20}\s+(?:-\S+\s+)*|\bshred\s+(?:-\S+\s+)*|\bwipefs\s+(?:-\S+\s+)*)/dev/(?:sd|hd|vd|nvme|xvd|mem|kmem|mapper|disk|loop)",
        "Writing to a device destroys what is on it.",
        _STAY,
        "security",
    ),
    (
        rf"\b(?:chmod|chown|chgrp)\s+(?:-\S+\s+)*\S+\s+{_ROOTS}/?(?:\s|;|&|$)",
        "Changing owners or rights of system folders harms the machine.",
        _STAY,
        "security",
    ),
    (
        rf"{_START}(?:shutdown|reboot|halt|poweroff|init\s+[06]|telinit|mkfs[\w.]{{0,20}}|mount|umount|insmod|rmmod|modprobe|iptables|crontab|useradd|usermod|passwd|visudo)\b",
        "This command administers the machine.",
        "Leave it out.",
        "security",
    ),
    (
        rf"{_START}(?:kill|pkill|killall)\s+(?:-\S+\s+)*(?:-1|1)\b",
        "This kills processes that are not the program's.",
        "Leave it out.",
        "security",
    ),
    (
        r"/dev/(?:tcp|udp)/|\b(?:nc|ncat|netcat|socat)\b[^\n]{0,200}?(?:\s-e\b|\s-c\b|EXEC:)",
        "This opens a shell or a connection over the network.",
        "Leave the connection out.",
        "security",
    ),
    (
        r"/etc/(?:passwd|shadow|gshadow|sudoers)\b|(?:~|\$HOME|/root|/home/\w+)/\.(?:ssh|aws|gnupg|kube)\b|/proc/(?:1|kcore)\b|docker\.sock",
        "This path is part of the machine and is not there for programs.",
        _STAY,
        "security",
    ),
    (
        r">{1,2}\s*(?:/etc|/usr|/bin|/sbin|/lib|/boot|/root|/proc|/sys)/",
        "Writing into system folders harms the machine.",
        _STAY,
        "security",
    ),
    (
        rf"{_START}(?:sudo|su|doas)\b",
        "There are no other rights to be had here.",
        "Run the command without it.",
        "error",
    ),
)
_NETWORK_RULE: Final = (
    rf"{_START}(?:curl|wget|ssh|scp|rsync|ftp|telnet|nc|apt|apt-get|yum|dnf|apk|brew|pip3?\s+install|npm\s+install|git\s+(?:clone|fetch|pull|push))\b",
    "This needs the network, which programs here do not have.",
    "Use the input files in the working directory and the tools that are installed.",
    "error",
)


def check_shell(code: str, *, allow_network: bool) -> list[Issue]:
    """The harm in a Bash program, by line; comments do not count."""
    issues = []
    rules = _RULES if allow_network else (*_RULES, _NETWORK_RULE)
    for number, line in enumerate(code.replace("\\\n", "  ").split("\n"), start=1):
        if line.lstrip().startswith("#"):
            continue
        for pattern, what, instead, severity in rules:
            if re.search(pattern, line[:20_000]):
                issues.append(
                    Issue(
                        kind="harm" if severity == "security" else "blocked_call",
                        message=f"{what} {instead}",
                        line=number,
                        severity=severity,
                    )
                )
        if len(issues) >= 40:
            break
    return issues
