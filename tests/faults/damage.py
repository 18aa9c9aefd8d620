"""What disks, crashes and passers-by do to files."""

from __future__ import annotations

import random
from pathlib import Path


def flip(path: Path, rng: random.Random) -> str:
    """Change one to eight bytes somewhere in a file; return what was done."""
    content = bytearray(path.read_bytes())
    places = sorted(rng.randrange(len(content)) for _ in range(rng.randint(1, 8)))
    for place in places:
        content[place] ^= rng.randint(1, 255)
    path.write_bytes(content)
    return f"{path.name}: flipped bytes {', '.join(map(str, places))} of {len(content)}"


def cut(path: Path, rng: random.Random) -> str:
    """Cut a file off at a random byte; return what was done."""
    content = path.read_bytes()
    left = rng.randrange(len(content))
    path.write_bytes(content[:left])
    return f"{path.name}: cut off after {left} of {len(content)} bytes"


def flip_or_cut(path: Path, rng: random.Random) -> str:
    return rng.choice((flip, cut))(path, rng)


def tear_last_line(path: Path, rng: random.Random) -> str:
    """Cut a file of lines off within its last one; return what was done."""
    content = path.read_bytes()
    start = content.rstrip(b"\n").rfind(b"\n") + 1
    left = rng.randrange(start + 1, len(content))
    path.write_bytes(content[:left])
    return f"{path.name}: cut off after {left} of {len(content)} bytes"
