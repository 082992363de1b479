"""Defects planted on purpose, each with the promise that must notice it: `make mutants`, or `python -m` this module.

A defect is one piece of the source text replaced by another. A child process loads the engine anew with that text and
runs the property named beside it, with the same random examples each time: it has to fail by an assertion of its own.
The properties are run once without any defect as well, where all of them have to pass.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import io
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, Verbosity, settings

PROPERTIES = "tests.promises.metering.test_properties"
SPLIT = f"{PROPERTIES}.test_any_split_of_a_period_gives_the_same_total"
PROVEN = f"{PROPERTIES}.test_billed_is_what_the_samples_prove_and_never_more_than_is_true"
ORDER = f"{PROPERTIES}.test_the_order_in_which_series_arrive_means_nothing"
REPLICA = f"{PROPERTIES}.test_a_replica_with_any_gaps_never_raises_the_total"
WITHOUT_STARTS = f"{PROPERTIES}.test_without_process_starts_less_is_proven_and_nothing_is_billed_twice"
MISSED = f"{PROPERTIES}.test_a_window_of_which_something_was_missed_is_not_complete"
DURABLE = f"{PROPERTIES}.test_a_durable_counter_bills_its_rises_whatever_its_processes_do"
AGAIN = f"{PROPERTIES}.test_running_a_window_again_whatever_went_wrong_is_running_it_once"
NEVER_ABSENT = f"{PROPERTIES}.test_every_window_is_complete_degraded_held_or_still_due"
LATE = "tests.jobs.test_late.test_invoices_and_adjustments_sum_to_what_complete_data_would_have_been_billed"
QUANTISED = "tests.core.test_counters_partition.test_a_column_is_quantised_as_each_of_its_numbers_in_fractions"


@dataclass(frozen=True, slots=True)
class Defect:
    promise: int
    """Of those at the end of the metering's description: 1 to 6."""
    what: str
    module: str
    sound: str
    """Text of the module's source, found there exactly once."""
    broken: str
    noticed_by: str


COUNTERS = "rating.core.counters"

DEFECTS = (
    # 1. Any split of a period into windows gives the same total.
    Defect(1, "a window takes the sample at its very end", f"{COUNTERS}.rebuild",
           "if time >= end:", "if time > end:", SPLIT),
    Defect(1, "a sample at a window's start is its base", f"{COUNTERS}.rebuild",
           "for sample in epoch.samples if sample.time < start", "for sample in epoch.samples if sample.time <= start",
           SPLIT),
    Defect(1, "what is known before a window is the last sample, not the highest", f"{COUNTERS}.rebuild",
           "before = max((sample.units for sample in epoch.samples if sample.time < start), default=None)",
           "before = ([None] + [sample.units for sample in epoch.samples if sample.time < start])[-1]", SPLIT),
    Defect(1, "readings are cut, not rounded, before they are subtracted", f"{COUNTERS}.numbers",
           "round_ratio(exact.numerator, exact.denominator", "round_ratio(int(exact), 1", QUANTISED),
    # 2. Running a window k times is running it once.
    Defect(2, "a window that was held once is never read again", "rating.jobs.collect",
           "set(book.closed(meter.name, span))",
           "{*book.closed(meter.name, span), *(entry.held.window.start for entry in book.held())}", AGAIN),
    Defect(2, "a server that is away leaves an empty window behind", "rating.jobs.collect",
           "    except (WindowStillOpen, EdgeUnavailable, EdgeRefused) as error:\n",
           "    except EdgeUnavailable:\n"
           "        from rating.core.counters import Readings\n"
           "        readings = Readings()\n"
           "    except (WindowStillOpen, EdgeRefused) as error:\n", AGAIN),
    # 3. Billed <= true, and the difference is what no sample could show.
    Defect(3, "a counter of unknown beginning is billed from zero", f"{COUNTERS}.rebuild",
           "before = 0 if meter.births is BirthPolicy.ZERO else epoch.samples[0].units", "before = 0", PROVEN),
    Defect(3, "a newborn's first value is taken as its base", f"{COUNTERS}.rebuild",
           "                    births += 1\n                    before = 0\n",
           "                    births += 1\n                    before = epoch.samples[0].units\n", PROVEN),
    Defect(3, "the first value after a restart is taken as a base", f"{COUNTERS}.rebuild",
           "                    unseen += _unseen(epoch, lives)\n                    before = 0\n",
           "                    unseen += _unseen(epoch, lives)\n                    before = epoch.samples[0].units\n",
           PROVEN),
    Defect(3, "restarts are known by falls in value alone", f"{COUNTERS}.epochs",
           "            by_process.setdefault(process, {})", "            by_process.setdefault(None, {})", PROVEN),
    Defect(3, "a window counts up to its last sample, not to its highest", f"{COUNTERS}.rebuild",
           "usage += max(0, max(sample.units for sample in epoch.samples) - before)",
           "usage += max(0, epoch.samples[-1].units - before)", PROVEN),
    Defect(3, "a later process stamped earlier, by another clock, is taken for one that was there before",
           f"{COUNTERS}.rebuild",
           "return sample.observer != first.observer and first.time - sample.time < CLOCKS_APART",
           "return False", PROVEN),
    Defect(3, "a durable counter begins anew with each process", f"{COUNTERS}.rebuild",
           "process = None if meter.lifetime is Lifetime.DURABLE else processes.at(name.target, name.replica, time)\n"
           "            seen.append",
           "process = processes.at(name.target, name.replica, time)\n            seen.append", DURABLE),
    # 4. Replicas, in any order and with any gaps, never raise the total.
    Defect(4, "falls are looked for in the merged samples of all replicas", f"{COUNTERS}.rebuild",
           "return epochs(sequences, start)",
           "return epochs([sorted((seen for one in sequences for seen in one), key=lambda seen: seen[0])], start)",
           PROVEN),
    Defect(4, "each replica is a counter of its own", f"{COUNTERS}.identities",
           "{METRIC_NAME, SOURCE, *meter.replica_labels, *meter.volatile_labels}",
           "{METRIC_NAME, SOURCE, *meter.volatile_labels}", REPLICA),
    Defect(4, "clocks of replicas are believed to the millisecond", f"{COUNTERS}.lives",
           "CLOCKS_APART = 60_000", "CLOCKS_APART = 1", WITHOUT_STARTS),
    Defect(4, "of all explanations the one that counts most is taken", f"{COUNTERS}.lives",
           "return max(0, total - before), total, 1,", "return -max(0, total - before), -total, 1,", WITHOUT_STARTS),
    Defect(4, "the series that comes first speaks for its counter", f"{COUNTERS}.decide",
           "        members[name.identity].append((name, one))\n    return",
           "        members[name.identity] = members[name.identity] or [(name, one)]\n    return", ORDER),
    # 5. A window is complete, degraded or held; never absent.
    Defect(5, "a doubt of the source itself is passed over", f"{COUNTERS}.decide",
           "    if evidence.warnings:\n", "    if False:\n", NEVER_ABSENT),
    Defect(5, "a partition that does not add up is passed over", f"{COUNTERS}.decide",
           "counts.clean + counts.rebuilt != counts.all", "counts.clean + counts.rebuilt > counts.all", NEVER_ABSENT),
    Defect(5, "missed scrapes leave a window complete", f"{COUNTERS}.policy",
           "missed = evidence.scrapes_seen < evidence.scrapes_expected", "missed = False", NEVER_ABSENT),
    Defect(5, "a window below the coverage asked for is billed", f"{COUNTERS}.decide",
           "if evidence.coverage < meter.coverage:", "if False:", NEVER_ABSENT),
    Defect(5, "a window that cannot be read is left out, and the next one taken", "rating.jobs.collect",
           "                stop(entry, outcome)\n                passed += 1\n", "                passed += 1\n",
           NEVER_ABSENT),
    Defect(5, "samples that are gone are no reason to hold", "rating.jobs.collect",
           "        return Held(entry.meter.name, entry.window, str(error))\n",
           "        from rating.core.counters import Readings\n"
           "        readings = Readings()\n", AGAIN),
    Defect(5, "a pod that went away took nothing with it", f"{COUNTERS}.coverage",
           "        if _departed(last, alive, start, interval):\n", "        if False:\n", MISSED),
    # 6. Invoice before and adjustment come to the invoice as if everything had come in time.
    Defect(6, "a late line forgets what an earlier one settled", "rating.core.late",
           'so_far = [billed, *(line for line in adjustments if line.settles == settles)]', "so_far = [billed]", LATE),
    Defect(6, "a late amount is the rounded difference, not the difference of rounded totals", "rating.core.late",
           "amount = known.amount - total([line.amount for line in so_far], known.amount.currency)",
           "from rating.core.money import round_amount\n"
           "    amount = round_amount(exact, known.amount.currency)", LATE),
)  # fmt: skip


class _Planted(importlib.abc.MetaPathFinder, importlib.abc.SourceLoader):
    """Loads one module with another text than its file has."""

    def __init__(self, defect: Defect) -> None:
        found = importlib.util.find_spec(defect.module)
        assert found is not None
        assert found.origin is not None
        self.module, self.path = defect.module, found.origin
        text = Path(found.origin).read_text()
        if text.count(defect.sound) != 1:
            raise LookupError(f"{defect.module} holds {defect.sound!r} {text.count(defect.sound)} times, not once")
        self.text = text.replace(defect.sound, defect.broken)

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self, origin=self.path) if name == self.module else None

    def get_filename(self, fullname: str) -> str:
        # Of no file: neither a cache of compiled code nor a traceback may mix the two texts up.
        return f"<{self.module} with a defect>"

    def get_data(self, path: str | bytes) -> bytes:
        return self.text.encode()


def outcome(noticed_by: str, defect: Defect | None) -> str:
    """What the property says in a process of its own: its words when it fails, nothing when it passes."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        said, code = "", 1
        try:
            os.close(reading)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                said = _verdict(noticed_by, defect)
            code = 0
        except BaseException as error:  # noqa: BLE001
            said = f"the defect broke more than a promise: {type(error).__name__}: {error}"
        os.write(writing, said.encode()[:4_000])
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    if status:
        raise RuntimeError(
            f"{defect.what if defect else noticed_by}: {said}" if said else f"the child ended with status {status}"
        )
    return said


def _verdict(noticed_by: str, defect: Defect | None) -> str:
    planted = _Planted(defect) if defect is not None else None
    for name in [name for name in sys.modules if name.partition(".")[0] in ("rating", "rating_demo", "tests")]:
        del sys.modules[name]
    if planted is not None:
        sys.meta_path.insert(0, planted)
    settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        report_multiple_bugs=False,
        verbosity=Verbosity.quiet,
        print_blob=False,
    )
    settings.load_profile("mutants")
    module, _, name = noticed_by.rpartition(".")
    run: Callable[[], None] = getattr(importlib.import_module(module), name)
    try:
        run()
    except AssertionError as failed:
        return str(failed).partition("\n")[0] or "an assertion failed"
    return ""


class Noticed(NamedTuple):
    defect: Defect
    said: str
    """Empty when nothing was noticed."""
    seconds: float


def run(defects: Sequence[Defect] = DEFECTS) -> Iterator[Noticed]:
    """Each defect with what its property said."""
    # What a child needs and is not ours to plant in is loaded once, here.
    for name in {defect.noticed_by.rpartition(".")[0] for defect in defects}:
        importlib.import_module(name)
    for defect in defects:
        begun = time.perf_counter()
        yield Noticed(defect, outcome(defect.noticed_by, defect), time.perf_counter() - begun)


def main(*, also_sound: bool) -> int:
    """Prints what became of each defect, and before it, when asked, of the sound engine. The exit code."""
    named = sorted({defect.noticed_by for defect in DEFECTS}) if also_sound else []
    failing = {name: said for name in named if (said := outcome(name, None))}
    for name, said in failing.items():
        print(f"fails without any defect: {name}: {said}")
    if also_sound:
        print(f"{len(named) - len(failing)} of {len(named)} properties hold without a defect", flush=True)
    survived = 0
    for defect, said, seconds in run():
        survived += not said
        print(f"{defect.promise}. {'noticed' if said else 'NOT NOTICED':11} {seconds:5.1f} s  {defect.what}")
        print(f"     by: {sentence(defect.noticed_by)}", flush=True)
    print(f"{len(DEFECTS) - survived} of {len(DEFECTS)} planted defects noticed")
    return 1 if survived or failing else 0


def sentence(noticed_by: str) -> str:
    return noticed_by.rpartition(".")[2].removeprefix("test_").replace("_", " ")


if __name__ == "__main__":
    sys.exit(main(also_sound="--defects-only" not in sys.argv[1:]))
