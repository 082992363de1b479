"""Who decides how an invoice is taxed: the catalogue's own rules, a file of answers, or a service over HTTP."""

from rating.adapters.taxes.answered import AnsweredTaxes
from rating.adapters.taxes.asked import AskedTaxes
from rating.adapters.taxes.ruled import RuledTaxes

__all__ = ["AnsweredTaxes", "AskedTaxes", "RuledTaxes"]
