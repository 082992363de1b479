"""What a notification says, in the language of whoever reads it: one sentence that says it, and those that prove it.

Decides words, not whether or to whom. Sentences stand in `messages/`, one file per language with the same keys;
numbers, amounts and dates are written by babel as the language writes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import yaml
from babel.dates import format_date
from babel.numbers import format_currency, format_decimal, format_percent

from rating.core.money import Money, decimal_text
from rating.core.notices import Kind, Notification

RUNBOOK = "rules/README.md"


@dataclass(frozen=True, slots=True)
class Words:
    subject: str
    """One line."""
    lines: tuple[str, ...]
    """Sentences under it, the most important first."""


@cache
def messages(language: str) -> dict[str, str]:
    """The sentences of a language, by key."""
    text = files(__package__).joinpath("messages", f"{language}.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def worded(one: Notification, language: str, *, at: datetime, to_customer: bool) -> Words:
    """`at` is when it was decided. People of ours are told which customer it is about; the customer knows."""
    say = _Saying(one, language, at)
    lines = [line for line in say.lines() if line]
    if not to_customer and one.kind is not Kind.ALERT:
        lines.insert(0, say("for"))
    return Words(one_line(say.subject()), tuple(lines))


def one_line(text: str) -> str:
    """Text that cannot break out of the head of a mail."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def sentence(language: str, key: str, **values: str) -> str:
    return messages(language)[key].format_map(values)


class _Saying:
    """One notification's values as a language writes them."""

    def __init__(self, one: Notification, language: str, at: datetime) -> None:
        self._one, self._language = one, language
        self._zone = ZoneInfo(one.zone)
        self._values = {
            "share": self._share(),
            "what": one.title or one.meter,
            "plan": one.plan_title,
            "next": one.next_plan_title or one.next_plan,
            "who": one.customer if one.customer in ("", one.consumer) else f"{one.customer} ({one.consumer})",
            "used": self._number(one.used),
            "allowance": self._number(one.allowance),
            "limit": self._number(one.limit or Fraction(0)),
            "over": self._number(one.used - one.allowance),
            "forecast": self._number(one.forecast or Fraction(0)),
            "live": self._number(one.live),
            "start": self._day(one.period.start if one.period else at),
            "end": self._day(one.period.end if one.period else at),
            "through": self._day(at),
            "closed": self._instant(one.closed_through or at),
            "ends": self._day(one.ends or at),
            "since": self._instant(one.since or at),
            "left": self._money(one.left),
            "granted": self._money(one.granted),
            "alert": one.alert,
            "labels": ", ".join(f"{name}={value}" for name, value in one.labels),
            "runbook": f"{RUNBOOK}#{one.alert.lower()}",
        }

    def __call__(self, key: str, **more: str) -> str:
        return messages(self._language)[key].format_map({**self._values, **more})

    def subject(self) -> str:
        one = self._one
        if one.kind is Kind.ALLOWANCE_REACHED and one.mark == "100%":
            return self("allowance_used_up")
        if one.kind is Kind.PREPAID_LOW and one.granted is None:
            return self("wallet_low")
        return self("alert_over" if one.kind is Kind.ALERT and one.over else one.kind.value)

    def lines(self) -> list[str]:
        one = self._one
        match one.kind:
            case Kind.TRIAL_ENDING:
                return [self("first_billed")]
            case Kind.PREPAID_LOW:
                return [self("wallet_next" if one.granted is None else "credit")]
            case Kind.ALERT:
                return [self("since"), self("runbook")]
            case Kind.USAGE_BEYOND_ALLOWANCE:
                return [self("beyond"), self("closed_all")]
        said = [self("used_limit" if one.kind is Kind.LIMIT_REACHED else "used")]
        if one.forecast is not None:
            said.append(self("forecast"))
        said += self._offer()
        if one.closed_through is not None:
            said.append(self("closed" if one.live else "closed_all"))
        return said

    def _offer(self) -> list[str]:
        one = self._one
        if not one.next_plan:
            return []
        said = []
        if one.more is not None:
            key = "next_same" if not one.more.minor else "next_saves" if one.more.minor < 0 else "next_costs"
            said.append(self(key, amount=self._size(one.more)))
        if one.more_at_pace is not None and one.more_at_pace.minor:
            key = "pace_saves" if one.more_at_pace.minor < 0 else "pace_costs"
            said.append(self(key, amount=self._size(one.more_at_pace)))
        return said or [self("next_offer")]

    def _share(self) -> str:
        if not self._one.mark.endswith("%"):
            return ""
        share = Decimal(self._one.mark.removesuffix("%")) / 100
        return str(format_percent(share, locale=self._language, decimal_quantization=False))

    def _number(self, number: Fraction) -> str:
        exact = Decimal(decimal_text(number, 3))
        return str(format_decimal(exact, locale=self._language, decimal_quantization=False))

    def _size(self, money: Money) -> str:
        return self._money(Money(abs(money.minor), money.currency))

    def _money(self, money: Money | None) -> str:
        if money is None:
            return ""
        return str(format_currency(Decimal(money.digits), money.currency.code, locale=self._language))

    def _day(self, instant: datetime) -> str:
        return str(format_date(instant.astimezone(self._zone), "long", locale=self._language))

    def _instant(self, instant: datetime) -> str:
        local = instant.astimezone(self._zone)
        return f"{self._day(instant)}, {local:%H:%M} {local.tzname()}"
