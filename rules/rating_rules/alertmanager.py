"""Alertmanager's configuration: who hears which alert and when, how they are grouped, which one silences which.

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
    engine: str = "http://engine:9465/hooks/alertmanager"
    """The engine's own webhook: it decides from exact usage what is told to whom, and remembers what was."""
    engine_token_file: str = "/etc/alertmanager/hook_token"
    """Where Alertmanager finds the bearer token it shows there."""
    slack_url_file: str = ""
    """Where Alertmanager finds the address of a Slack channel for operations; its texts are in `rating.tmpl`."""
    slack_channel: str = ""


DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class Muted:
    """When sales and finance are not written to; what still fires afterwards is told then. Operations always are, and
    so is the engine's webhook: it knows the quiet hours of customers itself."""

    days: tuple[str, ...] = ()
    """Whole days, of `DAYS`."""
    start: str = ""
    """A daily span, `18:00` to `08:00` may run over midnight; empty for none."""
    end: str = ""
    zone: str = "UTC"

    def intervals(self) -> list[dict[str, Any]]:
        """Alertmanager's spans do not run over midnight: such a one becomes two."""
        found: list[dict[str, Any]] = []
        if self.days:
            found.append({"weekdays": list(self.days), "location": self.zone})
        if self.start and self.end:
            spans = (
                [(self.start, self.end)]
                if self.start < self.end
                else [(start, end) for start, end in ((self.start, "24:00"), ("00:00", self.end)) if start != end]
            )
            found += [
                {"times": [{"start_time": start, "end_time": end}], "location": self.zone} for start, end in spans
            ]
        return found


NEVER = Muted()
_MUTED = "rating quiet times"


def configuration(thresholds: Sequence[Fraction], receivers: Receivers, muted: Muted = NEVER) -> dict[str, Any]:
    """The whole alertmanager.yml. `thresholds` are all the shares any plan asks for."""
    quiet = muted.intervals()
    return {
        **({"templates": [TEMPLATES]} if receivers.slack_url_file else {}),
        **({"time_intervals": [{"name": _MUTED, "time_intervals": quiet}]} if quiet else {}),
        "route": {
            "receiver": "default",
            "group_by": ["alertname"],
            "group_wait": "30s",
            "group_interval": "5m",
            "repeat_interval": "12h",
            "routes": [
                *([_engine_route()] if receivers.engine else []),
                # One message per customer, whatever its consumers do. Short waits: it is about what happens now.
                _route("upsell", ["customer"], "5s", "1m", "168h", bool(quiet)),
                _route("finance", ["alertname", "customer"], "1m", "1h", "168h", bool(quiet)),
                _route("operations", ["alertname", "meter"], "30s", "5m", "4h"),
            ],
        },
        "inhibit_rules": list(_inhibitions(thresholds)),
        "receivers": [
            *([_engine_receiver(receivers)] if receivers.engine else []),
            *(_receiver(name, getattr(receivers, name)) for name in ("default", "upsell", "finance")),
            {**_receiver("operations", receivers.operations), **_slack(receivers)},
        ],
    }


def _engine_route() -> dict[str, Any]:
    """Every alert of ours, at once, each in a group of its own: a second threshold must not wait for the first one's
    next turn. What people should not hear twice the engine itself remembers.
    """
    return {
        "receiver": "engine",
        "matchers": ['audience=~"upsell|finance|operations"'],
        "group_by": ["..."],
        "group_wait": "1s",
        "group_interval": "5m",
        "repeat_interval": "24h",
        "continue": True,
    }


def _engine_receiver(receivers: Receivers) -> dict[str, Any]:
    hook: dict[str, Any] = {"url": receivers.engine, "send_resolved": True}
    if receivers.engine_token_file:
        hook["http_config"] = {
            "authorization": {"type": "Bearer", "credentials_file": receivers.engine_token_file},
            "follow_redirects": False,
        }
    return {"name": "engine", "webhook_configs": [hook]}


def _route(
    audience: str, group_by: list[str], wait: str, interval: str, repeat: str, muted: bool = False
) -> dict[str, Any]:
    return {
        "receiver": audience,
        "matchers": [f'audience="{audience}"'],
        "group_by": group_by,
        "group_wait": wait,
        "group_interval": interval,
        "repeat_interval": repeat,
        **({"mute_time_intervals": [_MUTED]} if muted else {}),
    }


def _slack(receivers: Receivers) -> dict[str, Any]:
    if not receivers.slack_url_file:
        return {}
    hook = {
        "api_url_file": receivers.slack_url_file,
        "channel": receivers.slack_channel,
        "send_resolved": True,
        "title": '{{ template "rating.title" . }}',
        "text": '{{ template "rating.text" . }}',
    }
    return {"slack_configs": [{key: value for key, value in hook.items() if value != ""}]}


TEMPLATES = "rating.tmpl"
"""Named texts for receivers that write to people: `rating.title` and `rating.text`."""

TEMPLATE_TEXT = """\
{{/* Generated; do not edit. Made by: rating rules write */}}
{{ define "rating.title" -}}
{{ if eq .Status "firing" }}{{ .Alerts.Firing | len }} {{ else }}Resolved: {{ end -}}
{{ .CommonLabels.alertname -}}
{{ with .CommonLabels.meter }} of {{ . }}{{ end -}}
{{ with .CommonLabels.customer }} ({{ . }}){{ end }}
{{- end }}
{{ define "rating.text" -}}
{{ range .Alerts -}}
{{ .Annotations.summary }}
{{ .Annotations.description }}
{{ with .Annotations.upgrade_costs }}The next plan would cost {{ . }} more in this period (less when negative).
{{ end }}{{ with .Annotations.runbook }}What to do: {{ . }}
{{ end }}
{{ end }}
{{- end }}
"""


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
