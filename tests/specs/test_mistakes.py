"""A file full of mistakes and a folder that contradicts itself: the exact sentences an author reads.

The golden files are rewritten by `UPDATE_GOLDEN=1 pytest tests/specs`; read the difference before accepting it.
"""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from rating.errors import Severity, SpecError
from rating.specs.compile import compile_catalogue, examine

GOLDEN = Path(__file__).parent / "golden"

GOOD = """\
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id}
plans:
  pro:
    charges:
      - {meter: calls, unit_price: "0.10"}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
"""


def said(*sources: tuple[str, str]) -> list[str]:
    return [str(finding) for finding in examine(sources).findings]


def test_a_file_full_of_mistakes_says_all_of_them_in_the_order_of_its_lines() -> None:
    spoken = "\n".join(said(("plans.yaml", (GOLDEN / "mistakes.yaml").read_text()))) + "\n"
    expected = GOLDEN / "mistakes.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.write_text(spoken)
    assert spoken == expected.read_text()


def test_tiers_that_do_not_rise_are_named_with_both_bounds_at_the_line_of_the_tier() -> None:
    text = """\
version: 1
currency: USD
meters:
  search: {metric: search_total, consumer: consumer_id}
plans:
  pro:
    charges:
      - meter: search
        graduated:
          - {up_to: 100, unit_price: "0.10"}
          - {up_to: 900, unit_price: "0.05"}
          - {up_to: 800, unit_price: "0.02"}
          - {unit_price: "0.01"}
"""
    assert said(("plans.yaml", text)) == [
        'plans.yaml:12: plan "pro", meter "search": tier 3 ends at 800 but tier 2 already ends at 900; '
        "list tiers by rising up_to"
    ]


# what is changed in GOOD -> what is said, all of it
ONE_MISTAKE = {
    "money as a float": (
        '"0.10"',
        "0.0005",
        'c.yaml:8: plan "pro", meter "calls", unit_price: 0.0005 is read as a binary float; quote it: "0.0005"',
    ),
    "a meter that nobody defined": (
        "meter: calls",
        "meter: cals",
        'c.yaml:8: plan "pro", meter "cals": no meter is called "cals"; did you mean "calls"?',
    ),
    "a tab": ("  pro:", "\tpro:", "c.yaml:6: a tab is used for indentation; YAML indents with spaces only"),
    "a bracket left open": (
        "{meter: calls, unit_price",
        "{meter: calls, [unit_price",
        "c.yaml:8: is not YAML: expected ',' or ']', but got '}'; check quotes, colons and indentation there",
    ),
    "an alias to nothing": (
        "consumer: acme",
        "consumer: *acme",
        "c.yaml:10: is not YAML: found undefined alias 'acme'; "
        "write a value that begins with * in quotes, or define the anchor above",
    ),
    "a second document": (
        "plans:",
        "---\nplans:",
        "c.yaml:5: is not YAML: a second document begins; put it into a file of its own in the same folder",
    ),
    "a key twice": (
        "currency: USD",
        "currency: USD\ncurrency: EUR",
        'c.yaml:3: key "currency" is written twice, first on line 2; keep one of them',
    ),
    "a tag that would run code": (
        "consumer: acme",
        "consumer: !!python/name:os.system acme",
        "c.yaml:10: tag tag:yaml.org,2002:python/name:os.system has no meaning here; write the plain value",
    ),
    "no version": ("version: 1\n", "", 'c.yaml:1: key "version" is missing; add "version: 1"'),
    "no currency": ("currency: USD\n", "", 'c.yaml:1: key "currency" is missing; add "currency: USD"'),
    "a consumer written as a number": (
        "consumer: acme",
        "consumer: 42",
        "c.yaml:10: subscription 1, consumer: 42 is not text; quote it",
    ),
    "a window that no midnight meets": (
        "currency: USD",
        "currency: USD\ntimezone: Asia/Kolkata",
        'c.yaml:11: subscription of "acme", start: 2026-09-30 18:30 UTC lies inside a window of 1h of meter "calls"; '
        "write 2026-09-30 18:00 UTC, or shorten the window",
    ),
    "a window that no winter midnight meets": (
        "consumer_id}",
        "consumer_id, window: 2h}\ntimezone: Europe/Berlin",
        'c.yaml:11: subscription of "acme": midnight in Europe/Berlin is 23:00 UTC in December, inside a window of 2h '
        'of meter "calls"; shorten the window, or use the time zone UTC',
    ),
    "a label that could wander": (
        "consumer_id}",
        "consumer_id, volatile_labels: [consumer_id]}",
        'c.yaml:4: meter "calls", volatile_labels 1: label "consumer_id" is billed by, '
        "but it may change while the counter goes on; remove it here or there",
    ),
}


@pytest.mark.parametrize("mistake", ONE_MISTAKE)
def test_one_mistake_is_one_finding(mistake: str) -> None:
    old, new, sentence = ONE_MISTAKE[mistake]
    assert GOOD.count(old) == 1
    assert said(("c.yaml", GOOD.replace(old, new))) == [sentence]


def test_one_meter_billed_by_two_plans_at_once_names_both_lines() -> None:
    text = GOOD.replace("  pro:\n", '  base:\n    charges: [{meter: calls, unit_price: "1"}]\n  pro:\n')
    text += (
        "  - {consumer: acme, plan: base, start: 2026-11-01}\n  - {consumer: globex, plan: base, start: 2026-11-01}\n"
    )
    assert said(("c.yaml", text)) == [
        'c.yaml:13: subscription of "acme": would bill meter "calls" twice from 2026-11-01 00:00, together with plan '
        '"pro" at c.yaml:12; end one before the other starts'
    ]


def test_an_add_on_that_prices_another_meter_may_run_beside_a_plan() -> None:
    text = GOOD.replace("meters:\n", "meters:\n  tokens: {metric: tokens_total, consumer: consumer_id}\n")
    text = text.replace("plans:\n", 'plans:\n  extra:\n    charges: [{meter: tokens, unit_price: "1"}]\n')
    text += "  - {consumer: acme, plan: extra, start: 2026-10-15}\n"
    assert said(("c.yaml", text)) == []


def test_files_of_a_folder_merge_and_contradictions_name_both_places() -> None:
    head, rest = GOOD.split("meters:\n")
    meters, rest = rest.split("plans:\n")
    base = ("base.yaml", f"{head}meters:\n{meters}")
    more = ("more.yaml", f"version: 1\nplans:\n{rest}")
    assert compile_catalogue([base, more]).subscriptions[0].consumer == "acme"

    again = ("z.yaml", f"version: 1\ncurrency: EUR\nmeters:\n{meters}plans:\n  pro: {{}}\n")
    assert said(base, more, again) == [
        "z.yaml:2: currency: is EUR here and USD at base.yaml:2; write it once",
        'z.yaml:4: meter "calls": is also defined at base.yaml:4; keep one of them',
        'z.yaml:6: plan "pro": is also defined at more.yaml:3; keep one of them',
    ]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "---\n"])
def test_an_empty_file_says_how_to_begin(text: str) -> None:
    assert "c.yaml:1: " in said(("c.yaml", text))[0]
    with pytest.raises(SpecError):
        compile_catalogue([("c.yaml", text)])


def test_an_alias_inside_itself_ends() -> None:
    assert "c.yaml:1: an alias repeats itself without end; write the value out" in said(
        ("c.yaml", "meters: &a {b: *a}")
    )


@pytest.mark.parametrize(
    "text",
    [
        "[" * 3000,
        "a: " + "[" * 900 + "]" * 900,
        "a: &a [1]\n" + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in pairwise("abcdefghi")),
        "a: \ud800",
    ],
    ids=["brackets without end", "nested beyond use", "aliases of aliases", "half a character"],
)
def test_what_no_author_writes_is_refused_in_one_line(text: str) -> None:
    assert said(("c.yaml", text)) == [
        "c.yaml:1: is nested too deeply, repeats itself too often, or is not text; write a catalogue"
    ]


def test_a_warning_does_not_stop_the_catalogue() -> None:
    examined = examine([("c.yaml", GOOD.replace("  pro:\n", '  pro:\n    fee: "0.005"\n'))])
    [warning] = examined.findings
    assert warning.severity is Severity.WARNING
    assert examined.catalogue is not None
    assert str(warning) == (
        'c.yaml:7: plan "pro", fee: 0.005 USD has more than the 2 decimals of its currency; '
        "it is rounded on every invoice (warning)"
    )


@pytest.mark.parametrize(
    ("written", "finding"),
    [
        ("limit: 500, included: 400", None),
        ('limit: 500, included: 4, conversion: {per: "100"}', None),
        (
            "limit: 300, included: 400",
            "300 units may be used, but 400 are included; raise the limit, or include no more than it",
        ),
        ("limit: 0", "a limit of 0 is reached before any use; write more than 0, or leave it out"),
    ],
)
def test_a_limit_leaves_room_for_what_is_included(written: str, finding: str | None) -> None:
    text = GOOD.replace('unit_price: "0.10"', f'unit_price: "0.10", {written}')
    sentences = said(("plans.yaml", text))
    assert sentences == ([] if finding is None else [f'plans.yaml:8: plan "pro", meter "calls", limit: {finding}'])
    if finding is None:
        assert compile_catalogue([("plans.yaml", text)]).plans["pro"].cards[0].limit == 500
