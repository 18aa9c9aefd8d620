"""Passwords and tokens in addresses: taken out of whatever is shown, logged or kept. Pure; MLflow is not imported."""

from __future__ import annotations

import re

HIDDEN = "***"

LONGEST = 20_000
"""Characters of an error that are looked at; none is shown so far on."""

_USER = re.compile(r"://(?!/)[^\s'\"<>]{0,2000}@")
"""All up to the last `@` of a word: a password may hold any of `:/?#@`, whether or not it should. After three slashes
there is a file and no user."""

_WORDS = "password|passwd|passphrase|pwd|token|secret|api[_-]?key|access[_-]?key|signature|credential"
_NAMES = rf"[\w.-]{{0,40}}(?:{_WORDS})[\w.-]{{0,40}}"
_FIELD = re.compile(rf"(?i)({_NAMES}|\bsig)(\s*=\s*|%3D)(?:'[^']*'|\"[^\"]*\"|[^&;\s'\"]+)")
_ENTRY = re.compile(rf"(?i)(['\"]{_NAMES}['\"]\s*:\s*)(?:'[^']*'|\"[^\"]*\"|[^,}}\s]+)")
_HEADER = re.compile(r"(?i)\b(authorization['\"]?\s*[:=]\s*['\"]?)(?:(basic|bearer|digest|negotiate)\s+)?[^\s'\",}]+")
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/_.=~-]{8,}")


def redact(text: str) -> str:
    """Return `text` with the passwords and tokens of all addresses, headers and settings in it replaced by `***`.

    Of `://user:password@` the user stays, as it says whose password is meant; a `://token@` or `://token:@` goes.
    """
    text = _USER.sub(_without_password, text)
    text = _FIELD.sub(rf"\1\2{HIDDEN}", text)
    text = _ENTRY.sub(rf"\1'{HIDDEN}'", text)
    text = _HEADER.sub(rf"\1{HIDDEN}", text)
    return _BEARER.sub(rf"\1 {HIDDEN}", text)


def one_line(error: BaseException, limit: int = 300) -> str:
    """Return the first line of an error's text, redacted and at most `limit` characters long."""
    lines = [line.strip() for line in str(error)[:LONGEST].splitlines() if line.strip()]
    text = redact(lines[0] if lines else type(error).__name__)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def without_credentials(address: str) -> str:
    """Return an address as it may be stored: without user, password and secret fields of its query."""
    scheme, separator, rest = address.partition("://")
    rest = rest[_user_length(scheme, rest) :]
    place, mark, query = rest.partition("?")
    fields = [field for field in query.split("&") if not _FIELD.fullmatch(field)] if mark else []
    return f"{scheme}{separator}{place}{'?' if fields else ''}{'&'.join(fields)}"


def _user_length(scheme: str, rest: str) -> int:
    """Return how many characters of what follows `://` are user, password and `@`.

    In the address of a server they end before the first slash; in that of a database a password may hold slashes.
    """
    host = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in host:
        return host.rindex("@") + 1
    if scheme.lower() in ("http", "https") and re.fullmatch(r"[^:]*(:\d*)?", host):
        return 0  # a host, and an @ in the path
    return rest.find("@") + 1


def _without_password(found: re.Match[str]) -> str:
    user, _, password = found[0][len("://") : -1].partition(":")
    return f"://{user}:{HIDDEN}@" if password and "/" not in user else f"://{HIDDEN}@"
