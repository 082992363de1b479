"""What draws documents, found or installed; without it the tests of PDFs are skipped with the reason."""

from __future__ import annotations

import pytest

from rating.adapters.documents import PrintedDocuments
from tests.conftest import part


@pytest.fixture(scope="session")
def documents() -> PrintedDocuments:
    for name in ("pango", "harfbuzz_subset", "noto", "noto_cjk"):
        part(name)
    return PrintedDocuments()
