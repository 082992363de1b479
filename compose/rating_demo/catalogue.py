"""The demonstration catalogue, with its subscriptions beginning when the demonstration does. Compiles nothing.

`python -m rating_demo.catalogue compose/catalogue TARGET` writes it with subscriptions that begin today.
"""

from __future__ import annotations

import argparse
import re
from datetime import UTC, date, datetime
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[1] / "catalogue"
"""compose/catalogue of this checkout."""
_START = re.compile(r"(?<=start: )\d{4}-\d{2}-\d{2}")


def dated(target: Path, start: date, source: Path = SOURCE) -> Path:
    """Copy the catalogue into the folder `target`; every subscription begins on `start`."""
    target.mkdir(parents=True, exist_ok=True)
    for file in sorted(source.glob("*.yaml")):
        (target / file.name).write_text(_START.sub(start.isoformat(), file.read_text()))
    return target


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("source", type=Path)
    options.add_argument("target", type=Path)
    given = options.parse_args()
    if not given.target.exists():
        # A catalogue that is already there has begun on its day: it must not begin again.
        dated(given.target, datetime.now(UTC).date(), given.source)


if __name__ == "__main__":
    main()
