"""Exact usage from counter samples: what a source gathered (`Readings`) becomes a closed window or a held one."""

from __future__ import annotations

from rating.core.counters.accounts import OTHER, Accounts, unknown
from rating.core.counters.coverage import MARGIN
from rating.core.counters.decide import RELEASED, decide
from rating.core.counters.epochs import SAME_PROCESS
from rating.core.counters.gauges import REACH
from rating.core.counters.identities import SOURCE, Name, Naming
from rating.core.counters.numbers import EXACT, THOUSANDTHS, WHOLE, Scale, column, scale_of, units
from rating.core.counters.partition import Partition, Reading, partition
from rating.core.counters.readings import Counts, Readings, Series, apart, together

__all__ = [
    "EXACT",
    "MARGIN",
    "OTHER",
    "REACH",
    "RELEASED",
    "SAME_PROCESS",
    "SOURCE",
    "THOUSANDTHS",
    "WHOLE",
    "Accounts",
    "Counts",
    "Name",
    "Naming",
    "Partition",
    "Reading",
    "Readings",
    "Scale",
    "Series",
    "apart",
    "column",
    "decide",
    "partition",
    "scale_of",
    "together",
    "units",
    "unknown",
]
