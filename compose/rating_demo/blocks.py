"""OpenMetrics text into Prometheus TSDB blocks, with promtool. Decides the block length, nothing about the samples."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable
from pathlib import Path

from rating.errors import RatingError
from rating_demo.finding import locate
from rating_demo.openmetrics import Series, write

# promtool reads the whole file once per block, so history in two-hour blocks costs hundreds of readings. Block lengths
# are 2 h times a power of three; this one holds half a year.
BLOCK = "4374h"


class BlocksFailed(RatingError):
    """promtool refused; its own words are in the message."""


def create(series: Iterable[Series], directory: Path, promtool: str | Path | None = None) -> int:
    """Write the series as blocks into `directory` (made when missing) and return the number of samples.

    Existing blocks stay: call it again for more. A Prometheus that is to keep them needs a retention longer than they
    are old.

    Raises:
        BlocksFailed: promtool refused the samples.
        PartMissing: promtool is not on this machine.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="openmetrics-", dir=directory.parent) as scratch:
        text = Path(scratch) / "samples.txt"
        samples = write(text, series)
        from_openmetrics(text, directory, promtool)
    return samples


def from_openmetrics(text: Path, directory: Path, promtool: str | Path | None = None) -> None:
    """One OpenMetrics file into blocks."""
    program = promtool or locate("promtool")
    command = [str(program), "tsdb", "create-blocks-from", f"--max-block-duration={BLOCK}", "openmetrics"]
    done = subprocess.run([*command, str(text), str(directory), "--quiet"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise BlocksFailed(f"promtool could not make blocks of {text}: {(done.stderr or done.stdout).strip()}")
