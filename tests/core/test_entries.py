"""What is hashed when windows are entered: bytes that stay what they are, whoever writes them."""

from __future__ import annotations

import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from rating.core.entries import GREATEST, usage_digest
from rating.core.windows import Usage


def plainly(usage: list[Usage]) -> str:
    """As its promise has it, by the standard library."""
    return hashlib.sha256(json.dumps(usage, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def test_every_character_is_hashed_as_json_has_it() -> None:
    characters = [chr(code) for code in range(0x110000) if not 0xD800 <= code < 0xE000]
    rows = [Usage(character, ("x", character), 1) for character in characters]
    assert usage_digest(rows) == plainly(rows)


@given(
    rows=st.lists(
        st.builds(
            Usage,
            st.text(st.characters(exclude_categories=["Cs"])),
            st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=3).map(tuple),
            st.integers(-GREATEST, GREATEST),
        )
    )
)
def test_rows_are_hashed_as_json_has_them(rows: list[Usage]) -> None:
    assert usage_digest(rows) == plainly(rows)
    assert usage_digest(tuple(rows)) == plainly(rows)
