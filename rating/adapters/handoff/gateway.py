"""The InvoiceGateway of `ports` that hands papers over as files.

    papers/000001-invoice-INV-000042.json     each dispatch, as soon as it is published
    batches/000001.jsonl, 000001.csv          those of one round, whole
    batches/000001.manifest.json              says that batch 1 is whole, with hashes of its files

A reader takes batches by their manifests, in order of number. A paper is in exactly one batch. Nothing ever changes.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rating.adapters.handoff.folder import Folder
from rating.adapters.handoff.papers import COLUMNS, paper, rows, text, title
from rating.core.cells import write_csv
from rating.core.money import Currency, Money
from rating.core.publications import Dispatch
from rating.errors import EdgeDisagrees
from rating.ports import Trail

_PAPER = re.compile(r"(\d{6,})-(.+)\.json\Z")
_MANIFEST = ".manifest.json"


class FileGateway:
    """Papers in a folder. One process writes to it at a time; the book's claim on publishing sees to that."""

    def __init__(self, name: str, folder: Path) -> None:
        self._name = name
        self._folder = Folder(folder)
        self._turn = threading.Lock()
        self._known: dict[str, str] | None = None

    @property
    def name(self) -> str:
        return self._name

    def preview(self, dispatch: Dispatch) -> str:
        return f"write {title(dispatch)} to {self._folder.path}/papers"

    def publish(self, dispatch: Dispatch, trail: Trail, *, now: datetime) -> str:
        said = paper(dispatch)
        content = f"{text(said)}\n".encode()
        with self._turn:
            known = self._papers()
            slug = _slug(dispatch.subject)
            file = known.get(slug) or f"{len(known) + 1:06d}-{slug}.json"
            self._folder.add(f"papers/{file}", content)
            known[slug] = file
        trail.keep(file)
        return f"written to papers/{file}"

    def finish(self, *, now: datetime) -> str:
        """Gather what is in no batch yet into the next one."""
        with self._turn:
            batches = self._folder.names("batches", _MANIFEST)
            batch, last, before = self._manifest(batches[-1]) if batches else (0, 0, "")
            files = sorted(self._papers().values(), key=_sequence)
            new = [file for file in files if _sequence(file) > last]
            if not new:
                return ""
            return self._seal(batch + 1, new, before)

    def _seal(self, batch: int, files: Sequence[str], before: str) -> str:
        texts = [self._folder.read(f"papers/{file}") for file in files]
        papers = [json.loads(one) for one in texts]
        table = io.StringIO()
        numbered = zip(map(_sequence, files), papers, strict=True)
        write_csv(table, COLUMNS, (row for sequence, one in numbered for row in rows(sequence, one)))
        contents = {f"{batch:06d}.jsonl": b"".join(texts), f"{batch:06d}.csv": table.getvalue().encode()}
        for name, content in contents.items():
            self._add_unsealed(name, content)
        manifest = {
            "batch": batch,
            "first": _sequence(files[0]),
            "last": _sequence(files[-1]),
            "papers": len(files),
            "totals": _totals(papers),
            "files": {name: _sha256(content) for name, content in contents.items()},
            "before": before,
        }
        self._folder.add(f"batches/{batch:06d}{_MANIFEST}", (json.dumps(manifest, indent=1) + "\n").encode())
        return f"{len(files)} papers in batch {batch}"

    def _add_unsealed(self, name: str, content: bytes) -> None:
        """A batch without a manifest was cut off; papers may have been added since, so it is written again."""
        file = self._folder.path / "batches" / name
        if file.exists() and self._folder.read(f"batches/{name}") != content:
            file.unlink()
        self._folder.add(f"batches/{name}", content)

    def _papers(self) -> dict[str, str]:
        """Files by what they are about."""
        if self._known is None:
            names = self._folder.names("papers", ".json")
            found = {match[2]: file for file in names if (match := _PAPER.match(file))}
            numbers = sorted(map(_sequence, found.values()))
            if len(found) != len(names) or numbers != list(range(1, len(names) + 1)):
                raise EdgeDisagrees(
                    f"{self._folder.path}/papers holds {len(names)} files that are not papers 1 to {len(names)}: "
                    "nobody else adds or takes away files there; put back what is missing"
                )
            self._known = found
        return self._known

    def _manifest(self, name: str) -> tuple[int, int, str]:
        """A batch's number, the last paper in it, and its manifest's hash."""
        content = self._folder.read(f"batches/{name}")
        try:
            said = json.loads(content)
            return int(said["batch"]), int(said["last"]), _sha256(content)
        except (ValueError, KeyError, TypeError) as error:
            raise EdgeDisagrees(f"{self._folder.path}/batches/{name} is not a manifest of ours ({error})") from error


def _slug(subject: str) -> str:
    """A subject as part of a file name; what is not plain gets a digest, so that no two share one."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", subject)[:80].strip("-")
    if re.fullmatch(r"[a-z_]+/[A-Za-z0-9._-]{1,60}", subject):
        return plain
    return f"{plain}-{hashlib.sha256(subject.encode()).hexdigest()[:12]}"


def _sequence(file: str) -> int:
    return int(file.partition("-")[0])


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _totals(papers: Sequence[dict[str, Any]]) -> dict[str, dict[str, str]]:
    """By kind and currency, in major units."""
    sums: dict[tuple[str, str], int] = {}
    for one in papers:
        key = (one["kind"], one["currency"])
        sums[key] = sums.get(key, 0) + (one["total_minor"] or 0)
    found: dict[str, dict[str, str]] = {}
    for (kind, currency), minor in sorted(sums.items()):
        found.setdefault(kind, {})[currency] = Money(minor, Currency(currency)).digits
    return found
