"""Rules for Prometheus and Alertmanager, generated from the catalogue."""

from rating_rules.alertmanager import DAYS, TEMPLATES, Muted, Receivers
from rating_rules.files import files, generate
from rating_rules.policy import Policy

__all__ = ["DAYS", "TEMPLATES", "Muted", "Policy", "Receivers", "files", "generate"]
