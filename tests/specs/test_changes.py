"""What two catalogues say differently, in words that find the line."""

from rating.specs.changes import changes
from rating.specs.compile import compile_catalogue

BEFORE = """\
version: 1
currency: USD
meters:
  calls: {metric: calls_total, consumer: consumer_id, where: {status: "2.."}}
plans:
  pro:
    fee: "49"
    charges:
      - meter: calls
        included: 1000
        graduated:
          - {up_to: 100, unit_price: "0.02"}
          - {unit_price: "0.01"}
    upsell: {to: large, at: [80%]}
  large: {fee: "99"}
subscriptions:
  - {consumer: acme, plan: pro, start: 2026-10-01}
"""


def told(*replacements: tuple[str, str]) -> list[tuple[str, str | None, str | None]]:
    text = BEFORE
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    before, after = (compile_catalogue([("c.yaml", each)]) for each in (BEFORE, text))
    return [(change.what, change.before, change.after) for change in changes(before, after)]


def test_spelling_is_no_change() -> None:
    assert told(('"49"', '"49.00"'), ("1000", "1_000")) == []


def test_a_price_a_tier_a_default_and_a_subscription() -> None:
    assert told(
        ('{unit_price: "0.01"}', '{up_to: 500, unit_price: "0.01"}\n          - {unit_price: "0.005"}'),
        ('"0.02"', '"0.03"'),
        ("at: [80%]", "at: [75%, 100%]"),
        ('{status: "2.."}', '{status: "[23].."}, window: 30m'),
        (
            "start: 2026-10-01}",
            "start: 2026-10-01, end: 2027-01-01}\n  - {consumer: z, plan: large, start: 2026-11-01}",
        ),
    ) == [
        ("meter calls, where, status", "2..", "[23].."),
        ("meter calls, window", None, "30m"),
        ("plan pro, charge calls, graduated, tier 1, unit_price", "0.02", "0.03"),
        ("plan pro, charge calls, graduated, tier 2, up_to", None, "500"),
        ("plan pro, charge calls, graduated, tier 3", None, "unit_price: 0.005"),
        ("plan pro, upsell, at", "80%", "75%; 100%"),
        ("subscription acme/pro/2026-10-01, end", None, "2027-01-01"),
        ("subscription z/large/2026-11-01", None, "consumer: z, plan: large, start: 2026-11-01"),
    ]
