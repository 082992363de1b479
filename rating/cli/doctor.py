"""`rating doctor`: can this Prometheus be billed from?"""

from __future__ import annotations

from datetime import timedelta

import typer

from rating.bootstrap import load_catalogue, open_book, open_source
from rating.cli.frame import DONE, FAILED, FORMAT, Format, console, now, settings_of, show
from rating.core.catalogue import Catalogue
from rating.core.periods import Cadence
from rating.core.presets import PRESETS
from rating.errors import RatingError
from rating.ports import Diagnosis, Examinable, Verdict
from rating.settings import Settings, safe_url

COLUMNS = ("verdict", "about", "what", "hint")

_LONGEST = {
    Cadence.DAY: timedelta(days=1),
    Cadence.WEEK: timedelta(days=7),
    Cadence.MONTH: timedelta(days=31),
    Cadence.QUARTER: timedelta(days=92),
    Cadence.YEAR: timedelta(days=366),
}


def add(app: typer.Typer) -> None:
    app.command("doctor")(command)


def command(context: typer.Context, format: Format = FORMAT) -> None:
    """Look at the book, at Prometheus and at every meter; say in one line each what is well and what to do.

    Counters of known gateways and frameworks that no meter counts yet are named, with the meter to paste. Works without
    a catalogue, too: that is how one begins.

    Exit code 1 when something fails, 0 when there are at most warnings.
    """
    settings, moment = settings_of(context), now()
    found = [_book(settings)]
    catalogue = None
    if settings.catalog.exists():
        catalogue = load_catalogue(settings)
    else:
        hint = "paste one of the meters below into it, or see `rating presets list`"
        found.append(Diagnosis(Verdict.WARN, str(settings.catalog), "there is no catalogue yet", hint))
    source = open_source(settings)
    if isinstance(source, Examinable):
        meters = () if catalogue is None else tuple(catalogue.meters.values())
        looked = list(source.examine(meters, longest_period=_longest(catalogue), now=moment))
        found += looked
        # A server that cannot be asked at all has been told of already.
        if not any(one.verdict is Verdict.FAIL and one.about not in {meter.name for meter in meters} for one in looked):
            billed = {metric for meter in meters for metric in meter.metrics}
            found += source.recognise(PRESETS, billed, moment)
    if format is Format.TABLE:
        for diagnosis in found:
            hint = f"; {diagnosis.hint}" if diagnosis.hint else ""
            line = f"{diagnosis.verdict.value:<4}  {diagnosis.about}: {diagnosis.what}{hint}"
            console.print(line, soft_wrap=True, markup=False)
    else:
        show([dict(zip(COLUMNS, diagnosis, strict=True)) for diagnosis in found], COLUMNS, format)
    raise typer.Exit(FAILED if any(diagnosis.verdict is Verdict.FAIL for diagnosis in found) else DONE)


def _book(settings: Settings) -> Diagnosis:
    about = safe_url(settings.database_url)
    try:
        with open_book(settings) as book:
            held = len(book.held())
    except RatingError as error:
        return Diagnosis(Verdict.FAIL, about, str(error))
    if held:
        hint = "`rating windows list --held` says why"
        return Diagnosis(Verdict.WARN, about, f"the book opens; {held} windows are held", hint)
    return Diagnosis(Verdict.OK, about, "the book opens")


def _longest(catalogue: Catalogue | None) -> timedelta:
    """The longest billing period of any plan."""
    plans = () if catalogue is None else catalogue.plans.values()
    return max((_LONGEST[plan.cadence] for plan in plans), default=_LONGEST[Cadence.MONTH])
