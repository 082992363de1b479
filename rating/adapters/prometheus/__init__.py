"""Counters read from Prometheus and the servers that speak its query API."""

from __future__ import annotations

from rating.adapters.prometheus.estimates import PrometheusEstimates
from rating.adapters.prometheus.source import PrometheusSource

__all__ = ["PrometheusEstimates", "PrometheusSource"]
