"""`rating stripe settle`, `signals` and `dismiss`: what gateways told us, and what became of it."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from rating.bootstrap import Listening, load_catalogue, open_book, open_listening, open_notifiers
from rating.cli.frame import DONE, FAILED, FORMAT, LOOK, Format, console, now, settings_of, show, stderr
from rating.cli.publish import specs_of
from rating.core.periods import stamp
from rating.core.publications import State, by_subject, signal_subject, state
from rating.core.settling import Verdict
from rating.errors import BookError, Finding, SpecError
from rating.jobs.contracts import gather
from rating.jobs.dismiss import dismiss as dismissed
from rating.jobs.dismiss import known, subject_of
from rating.jobs.offer import offering
from rating.jobs.settle import settle as settled
from rating.settings import Settings
from rating.specs.gateways import collection

SETTLED = ("gateway", "signal", "kind", "verdict", "said")
SIGNALS = ("gateway", "signal", "kind", "occurred", "state", "attempts", "said")


def add_to(group: typer.Typer) -> None:
    group.command("settle")(settle)
    group.command("signals")(signals)
    group.command("dismiss")(dismiss)


def listening_of(settings: Settings) -> tuple[Listening, ...]:
    """Raises:
    SpecError: no gateway is named that tells us anything.
    """
    found = open_listening(specs_of(settings))
    if not found:
        raise SpecError((Finding("RATING_GATEWAYS", "names no gateway of kind stripe", "write one into the file"),))
    return found


def settle(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would become of each; keep nothing.")] = False,
    format: Format = FORMAT,
) -> None:
    """Enter into the book what gateways told: payments, refunds, disputes, voids, plans; what `rating run` does.

    Exit code 1 when a gateway had to be asked and was away, 3 when something waits for a person: `rating stripe signals
    --parked` lists it.
    """
    settings, moment = settings_of(context), now()
    listening = listening_of(settings)
    notifiers = open_notifiers(settings)
    theirs = [name for name, one in notifiers.items() if one.to_customer]
    with open_book(settings) as book:
        contracts = gather(book, load_catalogue(settings), now=moment)
        done = settled(
            book,
            contracts,
            [one.reader for one in listening],
            now=moment,
            reach=(theirs, ("inbox",)),
            dry_run=dry_run,
            wanted=offering(contracts, [one.usage for one in listening], collection(specs_of(settings)), now=moment),
        )
    rows = [
        {
            "gateway": one.signal.gateway,
            "signal": one.signal.id,
            "kind": one.signal.kind,
            "verdict": one.verdict.value,
            "said": one.said.partition(": ")[2],
        }
        for one in done.settlements
    ]
    if rows or format is not Format.TABLE:
        show(rows, SETTLED, format)
    for sentence in done.away:
        stderr.print(sentence, soft_wrap=True)
    if format is Format.TABLE:
        counted = Counter(one.verdict for one in done.settlements)
        said = ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict]) or "nothing waited"
        console.print(f"{said}{'; nothing was kept' if dry_run else ''}", soft_wrap=True)
    if any(one.verdict is Verdict.PARKED for one in done.settlements):
        raise typer.Exit(LOOK)
    raise typer.Exit(FAILED if done.away else DONE)


def signals(
    context: typer.Context,
    parked: Annotated[bool, typer.Option("--parked", help="Only what waits for a person.")] = False,
    waiting: Annotated[bool, typer.Option("--waiting", help="Only what is not settled yet.")] = False,
    format: Format = FORMAT,
) -> None:
    """List what gateways told us, oldest first, and what became of it. Exit code 3 when something waits for a person.

    A parked one is settled again by `rating stripe retry signal/NAME`, or put away by `rating stripe dismiss NAME`.
    """
    settings = settings_of(context)
    rows, waits = [], False
    with open_book(settings) as book:
        for name in specs_of(settings):
            progressed = by_subject(book.progressed(name))
            for heard in book.signals(name):
                entries = progressed.get(signal_subject(heard.signal.id), [])
                stands = state(entries)
                waits = waits or stands is State.PARKED
                if (parked and stands is not State.PARKED) or (waiting and stands is not State.WAITING):
                    continue
                rows.append(
                    {
                        "gateway": name,
                        "signal": heard.signal.id,
                        "kind": heard.signal.kind,
                        "occurred": stamp(heard.signal.occurred_at.replace(microsecond=0)),
                        "state": stands.value,
                        "attempts": len(entries),
                        "said": entries[-1].progress.said if entries else None,
                    }
                )
    show(rows, SIGNALS, format)
    raise typer.Exit(LOOK if waits else DONE)


def dismiss(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="The gateway's name of what it told, evt_1Mt..., or what is parked.")],
    reason: Annotated[str, typer.Option(help="Why; it stays in the book.")],
    author: Annotated[str, typer.Option(help="Who says so.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be kept; keep nothing.")] = False,
) -> None:
    """Put away what is parked: a person looked, and nothing more is to be done about it.

    A signal by its name; a billing period, late usage, a one-off item or a wallet as `rating publish --parked` has it.
    """
    settings = settings_of(context)
    subject = subject_of(name)
    with open_book(settings) as book:
        for gateway in specs_of(settings):
            if not known(book, gateway, subject):
                continue
            if dry_run:
                stands = state(book.progressed(gateway, subject))
                console.print(f"{name} is {stands}; {'would be' if stands is State.PARKED else 'is not'} dismissed")
            elif dismissed(book, gateway, subject, why=reason, author=author, now=now()):
                console.print(f"dismissed {name}")
            else:
                console.print(f"{name} is not parked: nothing to dismiss")
            return
    raise BookError(
        f"no gateway told us anything that is called {name}, and nothing of that name is parked; `rating stripe "
        "signals` lists what they told, `rating publish --parked` what is parked"
    )
