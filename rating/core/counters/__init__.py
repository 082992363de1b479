"""Exact usage from counter samples: what a source gathered (`Readings`) becomes a closed window or a held one."""

from __future__ import annotations

from rating.core.counters.accounts import OTHER, Accounts, unknown
from rating.core.counters.coverage import MARGIN
from rating.core.counters.decide import RELEASED, decide
from rating.core.counters.epochs import SAME_PROCESS
from rating.core.counters.gauges import REACH
from rating.core.counters.identities import SOURCE, Name, Naming
from rating.core.counters.numbers import EXACT, THOUSANDTHS, WHOLE, Scale, column, doubles, quantised, scale_of, units
from rating.core.counters.partition import Column, Partition, partition
from rating.core.counters.readings import Clean, Counts, Readings, Series, apart, together
from rating.core.counters.roster import Integers, Roster
from rating.core.counters.thinning import changes, deciding, deciding_all, falls, first_at
from rating.core.counters.traces import Samples, Traces, ranges

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
    "Clean",
    "Column",
    "Counts",
    "Integers",
    "Name",
    "Naming",
    "Partition",
    "Readings",
    "Roster",
    "Samples",
    "Scale",
    "Series",
    "Traces",
    "apart",
    "changes",
    "column",
    "decide",
    "deciding",
    "deciding_all",
    "doubles",
    "falls",
    "first_at",
    "partition",
    "quantised",
    "ranges",
    "scale_of",
    "together",
    "units",
    "unknown",
]
