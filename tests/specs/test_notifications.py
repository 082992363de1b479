"""Who is told what, as authors write it; channels, whose secrets no message repeats; and words in every language."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from string import Formatter

import pytest

from rating.core.notices import LANGUAGES, Contact, Kind, QuietHours, Topic
from rating.errors import SpecError
from rating.specs.channels import MailSpec, WebhookSpec, channels
from rating.specs.compile import compile_catalogue, examine
from rating.specs.examples import example
from rating.specs.wording import messages, worded

HEAD = """\
version: 1
currency: USD
timezone: America/New_York
meters:
  calls: {metric: calls_total, consumer: consumer_id}
plans:
  pro:
    charges:
      - {meter: calls, unit_price: "0.10"}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
  - {consumer: beta, plan: pro, start: 2026-10-01}
"""
NOTIFICATIONS = """\
notifications:
  routes: {upsell: [crm, mail], trial_ending: [mail]}
  quiet_hours: "22:00-07:00"
  language: fr
  trial_ending: 5d
  prepaid_low: 10%
  contacts:
    acme:
      {email: ada@acme.example, language: de, timezone: Europe/Berlin, quiet_hours: "20:00 - 08:30", declined: [usage]}
    beta: {email: b@beta.example, quiet_hours: none}
"""


def said(text: str) -> list[str]:
    return [str(finding) for finding in examine([("c.yaml", HEAD + text)]).findings]


def test_what_is_written_is_what_is_meant() -> None:
    routing = compile_catalogue([("c.yaml", HEAD + NOTIFICATIONS)]).notifications
    assert routing.routes == {"upsell": ("crm", "mail"), "trial_ending": ("mail",)}
    assert (routing.language, routing.trial_ending, routing.prepaid_low) == ("fr", timedelta(days=5), Fraction(1, 10))
    # Quiet hours are on the clocks of the catalogue where nobody says otherwise.
    assert routing.quiet == QuietHours("22:00", "07:00", "America/New_York")
    berlin = QuietHours("20:00", "08:30", "Europe/Berlin")
    assert routing.contacts["acme"] == Contact("ada@acme.example", "de", berlin, frozenset({Topic.USAGE}))
    never = routing.contacts["beta"].quiet
    assert never is not None
    assert not any(never.contains(datetime(2026, 10, 14, hour, tzinfo=UTC)) for hour in range(24))


def test_the_canonical_text_compiles_to_the_same_again() -> None:
    first = compile_catalogue([("c.yaml", HEAD + NOTIFICATIONS)])
    again = compile_catalogue([("book", first.text)])
    assert (again.digest, again.notifications) == (first.digest, first.notifications)


def test_a_catalogue_without_the_section_is_the_text_it_was() -> None:
    assert "notifications" not in compile_catalogue([("c.yaml", HEAD)]).text


def test_a_customer_s_address_for_papers_serves_where_no_other_is_written() -> None:
    customers = """\
customers:
  acme: {email: papers@acme.example, locale: de_CH}
  beta: {email: "not an address, but printed"}
"""
    contacts = compile_catalogue([("c.yaml", HEAD + customers + "notifications: {routes: {upsell: [mail]}}\n")])
    assert contacts.notifications.contacts["acme"] == Contact("papers@acme.example", "de")
    assert contacts.notifications.contacts["beta"].email == ""
    both = compile_catalogue([("c.yaml", HEAD + customers + NOTIFICATIONS)]).notifications.contacts["acme"]
    assert both.email == "ada@acme.example"


@pytest.mark.parametrize(
    ("section", "says"),
    {
        "a route nobody takes": ("routes: {sales: [crm]}", '"sales" is neither an audience nor a kind'),
        "an address that is none": ("contacts: {acme: {email: ada}}", '"ada" is not an email address'),
        "an address with a head of its own": (
            'contacts: {acme: {email: "a@b.example\\nBcc: c@d.example"}}',
            "is not an email address",
        ),
        "hours that are none": ('quiet_hours: "22-07"', '"22-07" is no span of a day; write "22:00-07:00", or none'),
        "an hour that is none": ('quiet_hours: "25:00-07:00"', "is no span of a day"),
        "a language nobody wrote": ("language: it", '"it" is not one of en, de, fr'),
        "a topic nobody knows": ("contacts: {acme: {declined: [offers]}}", '"offers" is not one of usage, account'),
        "a channel twice": ("routes: {upsell: [crm, crm]}", 'channel "crm" is named twice; keep one of them'),
        "looking back": ("trial_ending: 0s", "0s is not a time to look ahead"),
        "never low": ("prepaid_low: 0%", "0% is never crossed"),
        "an unknown key": ("chanels: {}", 'unknown key "chanels"'),
    }.values(),
    ids=lambda value: None,
)
def test_mistakes_are_named_with_their_line(section: str, says: str) -> None:
    [finding] = said(f"notifications:\n  {section}\n")
    assert finding.startswith("c.yaml:14: notifications")
    assert says in finding


def test_a_contact_nobody_subscribed_is_a_warning() -> None:
    [finding] = said("notifications: {contacts: {acmee: {email: a@b.example}}}\n")
    assert 'no subscription here is paid by "acmee"; did you mean "acme"? (warning)' in finding


def test_the_section_in_two_files_is_told() -> None:
    both = examine([("a.yaml", HEAD + NOTIFICATIONS), ("b.yaml", "notifications: {language: de}\n")])
    assert [str(f) for f in both.findings] == ["b.yaml:1: notifications: is also written at a.yaml:13; write it once"]


# channels ------------------------------------------------------------------------------------------------------------

CHANNELS = """\
crm: {kind: webhook, url: "https://crm.example/hook?token=t0psecret", secret: "hunter2"}
mail: {kind: email, server: "smtp.example:587", username: rating, password: "hunter2", sender: "Acme <api@example.com>"}
"""


def test_channels_as_written() -> None:
    found = channels("channels.yaml", CHANNELS)
    assert isinstance(found["crm"], WebhookSpec)
    assert isinstance(found["mail"], MailSpec)
    assert (found["mail"].security, found["mail"].to) == ("starttls", None)
    assert channels("channels.yaml", "") == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("crm: {kind: webhok, url: hunter2}", "has no kind that is known"),
        ("crm: hunter2", "has no kind that is known"),
        ("crm: {kind: webhook, url: hunter2, secret: x}", "is not an address of a web service"),
        ("crm: {kind: webhook, url: https://x.example, secret: 1234567}", "is not text; quote it"),
        ("crm: {kind: webhook, url: https://x.example}", 'key "secret" is missing'),
        ("crm: {kind: webhook, url: https://x.example, secret: y, hunter: 2}", 'unknown key "hunter"'),
        ("crm: {kind: chat, url: ftp://hunter2.example/}", "is not an address of a web service"),
        ("mail: {kind: email, server: hunter2, sender: a@b.example}", "is not a server with its port"),
        (
            'mail: {kind: email, server: "s:25", sender: "a@b.example", password: "hunter2\\nx"}',
            "is not text of one line",
        ),
        ("inbox: {kind: chat, url: https://x.example}", "the inbox is the engine's own"),
        ("- hunter2", "the file holds no mapping"),
    ],
)
def test_mistakes_in_channels_repeat_no_value(text: str, says: str) -> None:
    with pytest.raises(SpecError) as refusal:
        channels("channels.yaml", text)
    assert says in str(refusal.value)
    assert "channels.yaml:1" in str(refusal.value)
    for secret in ("hunter2", "1234567"):
        assert secret not in str(refusal.value)


# words ----------------------------------------------------------------------------------------------------------------


def test_every_language_says_the_same_things_with_the_same_values() -> None:
    english = messages("en")
    for language in LANGUAGES:
        other = messages(language)
        assert other.keys() == english.keys()
        for key, text in other.items():
            assert _braces(text) <= _braces(english[key]) | {"who"}, f"{language}: {key}"
            assert text.strip() == text


def _braces(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", Kind)
def test_every_kind_is_said_in_every_language(kind: Kind, language: str) -> None:
    now = datetime(2026, 10, 14, 12, tzinfo=UTC)
    words = worded(example(kind, now), language, at=now, to_customer=kind is not Kind.ALERT)
    assert words.subject
    assert not re.search(r"[{}]|None|Fraction", "\n".join((words.subject, *words.lines)))


def test_numbers_and_amounts_as_each_language_writes_them() -> None:
    now = datetime(2026, 10, 14, 12, tzinfo=UTC)
    one = example(Kind.ALLOWANCE_REACHED, now)
    said_ = {language: "\n".join(worded(one, language, at=now, to_customer=True).lines) for language in LANGUAGES}
    assert "80,012 of 100,000 API calls" in said_["en"]
    assert "$12.50 more" in said_["en"]
    assert "80.012 von 100.000 API calls" in said_["de"]
    assert "12,50\u00a0$ mehr" in said_["de"]
    assert "80\u202f012 sur 100\u202f000" in said_["fr"]
