"""Counters read from Prometheus and the servers that speak its query API."""

from __future__ import annotations

from rating.adapters.prometheus.client import Asked, unheard
from rating.adapters.prometheus.estimates import PrometheusEstimates
from rating.adapters.prometheus.source import PrometheusSource

__all__ = ["Asked", "PrometheusEstimates", "PrometheusSource", "unheard"]
