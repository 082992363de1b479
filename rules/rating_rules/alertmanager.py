"""Alertmanager's configuration: who hears which alert, how they are grouped, which one silences which.

Decides nothing about delivery beyond a URL per audience.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from rating_rules.promql import literally
from rating_rules.upsell import PREDICTED, REACHED, percent


@dataclass(frozen=True, slots=True)
class Receivers:
    """Where notifications are posted; an empty URL hears nothing. The defaults are the services of compose/."""

    upsell: str = "http://inbox:8001/sales"
    operations: str = "http://inbox:8001/operations"
    finance: str = "http://inbox:8001/finance"
    default: str = "http://inbox:8001/other"


def configuration(thresholds: Sequence[Fraction], receivers: Receivers) -> dict[str, Any]:
    """The whole alertmanager.yml. `thresholds` are all the shares any plan asks for."""
    return {
        "route": {
            "receiver": "default",
            "group_by": ["alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                # One message per consumer. Short waits: the conversation is about what happens now.
                _route("upsell", ["consumer"], "5s", "1m", "168h"),
                _route("finance", ["alertname", "consumer"], "1m", "1h", "168h"),
                _route("operations", ["alertname", "meter"], "30s", "5m", "4h"),
            ],
        },
        "inhibit_rules": list(_inhibitions(thresholds)),
        "receivers": [
            _receiver(name, getattr(receivers, name)) for name in ("default", "upsell", "finance", "operations")
        ],
    }


def _route(audience: str, group_by: list[str], wait: str, interval: str, repeat: str) -> dict[str, Any]:
    return {
        "receiver": audience,
        "matchers": [f'audience="{audience}"'],
        "group_by": group_by,
        "group_wait": wait,
        "group_interval": interval,
        "repeat_interval": repeat,
    }


def _inhibitions(thresholds: Sequence[Fraction]) -> Sequence[dict[str, Any]]:
    """A higher threshold reached silences the lower ones of the same consumer and meter, and the forecast too."""
    rising = sorted(set(thresholds))
    rules = []
    for index, share in enumerate(rising):
        lower = "|".join(literally(percent(below)) for below in rising[:index])
        if not lower:
            continue
        rules.append(_inhibition(share, [f'alertname="{REACHED}"', f'threshold=~"{_escaped(lower)}"']))
    for share in rising:
        if share >= 1:
            rules.append(_inhibition(share, [f'alertname="{PREDICTED}"']))
    # Without the engine, what it says about itself is old news.
    rules.append(
        {
            "source_matchers": ['alertname="RatingEngineDown"'],
            "target_matchers": ['alertname=~"RatingCollectLagging|RatingWindowsHeld"'],
        }
    )
    return rules


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _inhibition(share: Fraction, targets: list[str]) -> dict[str, Any]:
    return {
        "source_matchers": [f'alertname="{REACHED}"', f'threshold="{percent(share)}"'],
        "target_matchers": targets,
        "equal": ["consumer", "meter"],
    }


def _receiver(name: str, url: str) -> dict[str, Any]:
    if not url:
        return {"name": name}
    return {"name": name, "webhook_configs": [{"url": url, "send_resolved": True}]}
