"""How long Stripe lets texts be, and how many keys metadata may have.

The lengths are those of the published specification of the API (2025-09-30.clover); 5,000 where it says nothing else.
"""

from __future__ import annotations

from typing import Any

from tests.stripe_peer.refusals import invalid

METADATA_KEYS, METADATA_KEY, METADATA_VALUE = 50, 40, 500
LINES = 250
"""Of one invoice."""
TEXT = 5_000
TEXTS: dict[str, dict[str, int]] = {
    "customers": {"business_name": 150, "email": 512, "individual_name": 150, "name": 256, "phone": 20},
    "invoices": {"description": 1_500, "number": 26, "statement_descriptor": 22},
    "balance_transactions": {"description": 350},
    "products": {"description": 40_000, "statement_descriptor": 22, "unit_label": 12},
    "prices": {"lookup_key": 200, "unit_label": 12},
    "meters": {"display_name": 250, "event_name": 100, "event_payload_key": 100},
    "meter_events": {"event_name": 100, "identifier": 100},
    "meter_event_adjustments": {"event_name": 100, "identifier": 100},
    "meter_event_stream": {"event_name": 100, "identifier": 100},
    "subscriptions": {"description": 500},
}
_CUSTOM_FIELDS = {"name": 40, "value": 140}


def within(room: str, params: dict[str, Any], path: str = "") -> None:
    """Check every text of these parameters.

    Raises:
        Refusal: one is too long; metadata has too many keys, a key that is too long or has brackets, a long value.
    """
    _texts(TEXTS.get(room, {}), params, path)


def _texts(limits: dict[str, int], params: dict[str, Any], path: str) -> None:
    for name, value in params.items():
        place = f"{path}[{name}]" if path else name
        if isinstance(value, str):
            longest = limits.get(name, TEXT)
            if len(value) > longest:
                raise invalid(
                    f"Invalid string: {value[:10]}…{value[-10:]}; must be at most {longest} characters",
                    place,
                    "parameter_invalid_string",
                )
        elif name in ("metadata", "invoice_metadata"):
            if isinstance(value, dict):
                _metadata(value, place)
        elif isinstance(value, dict):
            _texts(limits, value, place)
        elif isinstance(value, list) and name == "custom_fields":
            if len(value) > 4:
                raise invalid("You can set at most 4 custom_fields", place)
            for number, one in enumerate(value):
                _texts(_CUSTOM_FIELDS, one, f"{place}[{number}]")
        elif isinstance(value, list):
            for number, one in enumerate(value):
                if isinstance(one, dict):
                    _texts(limits, one, f"{place}[{number}]")


def _metadata(sent: dict[str, str], place: str) -> None:
    if len(sent) > METADATA_KEYS:
        raise invalid(f"Metadata can have up to {METADATA_KEYS} keys; you sent {len(sent)}", place)
    for key, value in sent.items():
        if not 0 < len(key) <= METADATA_KEY or "[" in key or "]" in key:
            raise invalid(
                f"Metadata keys are 1 to {METADATA_KEY} characters without square brackets; you sent {key!r}", place
            )
        if len(value) > METADATA_VALUE:
            raise invalid(
                f"Metadata values can have up to {METADATA_VALUE} characters, but you passed in a value that is "
                f"{len(value)} characters. Invalid value: {value[:20]}…",
                f"{place}[{key}]",
            )


def merged(old: dict[str, str], sent: Any, place: str = "metadata") -> dict[str, str]:
    """Metadata after an update: an empty value removes its key, an empty text all of them.

    Raises:
        Refusal: more than 50 keys would be left.
    """
    if sent is None:
        return old
    if sent == "":
        return {}
    new = {**old, **sent}
    kept = {key: value for key, value in new.items() if value != ""}
    if len(kept) > METADATA_KEYS:
        raise invalid(f"Metadata can have up to {METADATA_KEYS} keys; this would make {len(kept)}", place)
    return kept
