"""Which parts of a configuration are secret: values of environments and headers, and what arguments carry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlsplit

__all__ = ["CREDENTIAL_WORDS", "secrets_of"]

#: Words in the name of a variable or an option whose value is a secret.
CREDENTIAL_WORDS = ("TOKEN", "KEY", "SECRET", "PASSWORD", "CREDENTIAL", "TEAM_ID", "ACCESS", "AUTH")


def secrets_of(
    command: Sequence[str] = (),
    url: str = "",
    env: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return everything of a configuration that must not be repeated."""
    env, headers = env or {}, headers or {}
    found = [str(v) for v in (*env.values(), *headers.values())]
    found += [v.partition(" ")[2] for v in map(str, headers.values()) if " " in v]  # "Bearer ..." without the word
    before = ""
    for part in command:
        flag, equals, value = part.partition("=")
        if equals and any(w in flag.upper() for w in CREDENTIAL_WORDS):
            found.append(value)
        if before.startswith("-") and any(w in before.upper() for w in CREDENTIAL_WORDS):
            found.append(part)
        if "://" in part:
            found.append(urlsplit(part).password or "")
        before = part
    if url:
        parts = urlsplit(url)
        found += [parts.query, parts.password or "", *(v for _, v in parse_qsl(parts.query))]
    return tuple(dict.fromkeys(found))
