"""What a look beforehand found: what would be added, what would be set aside, and why to hesitate; as text or JSON.

Decides how `--check` of `events`, `logs` and `cloud` is printed. Leaves looking, and the exit status, to them.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from .totals import Series

OUTPUTS = ("text", "json")


@dataclass(frozen=True, slots=True)
class Added:
    """What one series would rise by, exactly: a whole number, or a decimal where the counter has decimals."""

    metric: str
    labels: Mapping[str, str]
    amount: int | Decimal


@dataclass(frozen=True, slots=True)
class Preview:
    """A look that changed nothing. `read` is how many of `what` ("messages of orders") were read; `aside` are those
    that would not count, each by where it is and the reason."""

    read: int
    what: str
    adds: Sequence[Added] = ()
    aside: Sequence[tuple[str, str]] = ()
    warnings: Sequence[str] = ()

    def text(self) -> str:
        """Lines for people."""
        lines = [f"read {self.read} {self.what}; nothing changed"]
        for one in self.adds:
            pairs = ",".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in one.labels.items())
            lines.append(f"would add {_plain(one.amount)} to {one.metric}{{{pairs}}}")
        lines += [f"would set aside {where}: {reason}" for where, reason in self.aside]
        lines += [f"warning: {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def json(self) -> str:
        """One object for programs. Whole amounts are numbers, decimals are text, so that neither passes a float."""
        told = {
            "read": self.read,
            "of": self.what,
            "adds": [
                {"metric": one.metric, "labels": dict(one.labels), "amount": _plain(one.amount)} for one in self.adds
            ],
            "set_aside": [{"where": where, "reason": reason} for where, reason in self.aside],
            "warnings": list(self.warnings),
        }
        return json.dumps(told, indent=1, ensure_ascii=False)

    def show(self, output: str) -> None:
        """Print it as one of OUTPUTS."""
        print(self.json() if output == "json" else self.text())


def added(
    counts: Mapping[Series, int], labels: Mapping[str, Sequence[str]], decimals: Mapping[str, int] | None = None
) -> list[Added]:
    """Counts of the metrics named in `labels` (by metric: its label names), in order; zeros are left out. A metric in
    `decimals` counts in units of 10^-decimals."""
    found = []
    for (metric, values), units in sorted(counts.items()):
        if metric in labels and units:
            places = (decimals or {}).get(metric, 0)
            amount = Decimal(units).scaleb(-places) if places else units
            found.append(Added(metric, dict(zip(labels[metric], values, strict=True)), amount))
    return found


def _plain(amount: int | Decimal) -> int | str:
    return amount if isinstance(amount, int) else f"{amount:f}"  # never 5E-12


def add_output(parser: argparse.ArgumentParser) -> None:
    """The option of all three commands. It is not called --format: two of them have formats to read."""
    parser.add_argument("--output", choices=OUTPUTS, help="how --check tells what it found (text)")


def output_of(options: argparse.Namespace, checking: bool) -> str:
    """The output that was asked for. ValueError where there is no check to tell of."""
    if options.output is not None and not checking:
        raise ValueError(f"--output {options.output} is for --check; counting itself is told on the /metrics page")
    return options.output or OUTPUTS[0]
