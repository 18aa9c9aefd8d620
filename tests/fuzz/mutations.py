"""What happens to files: bytes flipped, lost, repeated, put elsewhere, and the odd token that means trouble."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

Edit = tuple[str, float, float, bytes]

PLACE = st.floats(0, 1, exclude_max=True)


def edits(tokens: Sequence[bytes] = (b"\0", b"\xff" * 4)) -> st.SearchStrategy[list[Edit]]:
    """Return a strategy of edits for `applied`; `tokens` are what is put in."""
    kind = st.sampled_from(["flip", "lose", "repeat", "move", "put", "replace", "end"])
    size = st.one_of(st.floats(0, 0.02), st.floats(0, 1))
    return st.lists(st.tuples(kind, PLACE, size, st.one_of(st.sampled_from(tokens), st.binary(max_size=8))), max_size=5)


def applied(content: bytes, changes: Sequence[Edit]) -> bytes:
    """Return `content` with every edit made, one after the other."""
    for kind, place, size, token in changes:
        start = int(place * len(content))
        end = min(len(content), start + 1 + int(size * len(content)))
        before, part, after = content[:start], content[start:end], content[end:]
        match kind:
            case "flip":
                flipped = bytes([part[0] ^ (token[0] if token and token[0] else 1)]) if part else b""
                content = before + flipped + part[1:] + after
            case "lose":
                content = before + after
            case "repeat":
                content = before + part * 2 + after
            case "move":
                content = part + before + after
            case "put":
                content = before + token + part + after
            case "replace":
                content = before + token + after
            case "end":
                content = before
    return content
