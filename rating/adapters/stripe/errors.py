"""Every error of the stripe library as one of ours: wait, do not ask again, or let a person look.

A key is never part of what an error says. Knows no call: whoever asked says what was asked.
"""

from __future__ import annotations

import re
from datetime import timedelta

import stripe
from stripe import oauth_error

from rating.errors import EdgeDisagrees, EdgeError, EdgeRefused, EdgeUnavailable

_SECRET = re.compile(r"\b(sk|rk|pk|ek|whsec)(_test|_live)?_[A-Za-z0-9_*]{4,}")
_LONGEST = 600

_AWAY = (
    stripe.APIConnectionError,
    stripe.RateLimitError,
    # Of the account, not of the paper: parking every paper for a key that was rotated would help nobody.
    stripe.AuthenticationError,
    stripe.PermissionError,
    stripe.QuotaExceededError,
    stripe.TemporarySessionExpiredError,
)
_DISAGREES = (stripe.IdempotencyError,)
_REFUSED = (
    stripe.CardError,
    stripe.InvalidRequestError,
    stripe.SignatureVerificationError,
    stripe.AlreadyCanceledError,
    stripe.BlockedByStripeError,
    stripe.CannotProceedError,
    stripe.CapabilityNotEnabledError,
    stripe.ControlledByAlternateResourceError,
    stripe.FeatureNotEnabledError,
    stripe.FinancialAccountNotOpenError,
    stripe.FxQuoteNeedsRefreshError,
    stripe.InsufficientFundsError,
    stripe.InvalidPaymentMethodError,
    stripe.InvalidPayoutMethodError,
    stripe.InvalidVaultedCredentialError,
    stripe.NotCancelableError,
    stripe.RecipientNotNotifiableError,
    stripe.VerificationAttemptFailedError,
    stripe.VerificationExpiredError,
    stripe.VerificationNotInitiatedError,
    oauth_error.OAuthError,
)
_BY_STATUS = (stripe.APIError, stripe.StripeErrorWithParamCode)
"""Classes that say nothing by themselves."""

KNOWN: tuple[type[stripe.StripeError], ...] = (*_AWAY, *_DISAGREES, *_REFUSED, *_BY_STATUS)

_PASSING_STATUS = frozenset({408, 409, 424, 425, 429})
"""409: another call with this key is at work. 424: something behind Stripe failed."""
_PASSING_CODES = frozenset({"lock_timeout", "idempotency_key_in_use", "rate_limit"})


def translated(error: stripe.StripeError, what: str) -> EdgeError:
    """What our caller should do about it. `what` was asked, `create invoice INV-000042`."""
    said = f"{what}: Stripe {_said(error)}"
    if isinstance(error, _DISAGREES):
        return EdgeDisagrees(
            f"{said}; the same key was used for other words within a day: was the engine upgraded meanwhile? "
            "look there, then try again after a day"
        )
    if isinstance(error, stripe.AuthenticationError | stripe.PermissionError):
        return EdgeUnavailable(f"{said}; write a key that may do this into the file of RATING_GATEWAYS")
    if passing(error):
        return EdgeUnavailable(said, retry_after=retry_after(error))
    if isinstance(error, KNOWN):
        return EdgeRefused(said)
    return EdgeDisagrees(f"{said}; {type(error).__name__} is an answer that is not known here")


def passing(error: stripe.StripeError) -> bool:
    """May the same call succeed later?"""
    if isinstance(error, _AWAY):
        return True
    if isinstance(error, _DISAGREES):
        return False
    if _header(error, "stripe-should-retry") == "true" or error.code in _PASSING_CODES:
        return True
    status = error.http_status
    if isinstance(error, stripe.APIError):
        # A body that is no JSON has status 200, too.
        return status is None or status >= 500 or status < 400 or status in _PASSING_STATUS
    return status is not None and (status >= 500 or status in _PASSING_STATUS)


def at_once(error: stripe.StripeError) -> bool:
    """Is it worth asking again within seconds, by Stripe's own rules?"""
    advice = _header(error, "stripe-should-retry")
    if advice in ("true", "false"):
        return advice == "true"
    if isinstance(error, stripe.APIConnectionError):
        return error.should_retry
    return error.http_status is not None and (error.http_status == 409 or error.http_status >= 500)


def retry_after(error: stripe.StripeError) -> timedelta | None:
    """How long Stripe asked us to wait."""
    text = _header(error, "retry-after")
    return timedelta(seconds=int(text)) if text.isascii() and text.isdecimal() and len(text) < 7 else None


def masked(text: str) -> str:
    """The text without any key in it."""
    return _SECRET.sub(lambda found: f"{found[1]}{found[2] or ''}_***", text)


def _header(error: stripe.StripeError, name: str) -> str:
    for key, value in (error.headers or {}).items():
        if key.lower() == name:
            return str(value).strip()
    return ""


def _said(error: stripe.StripeError) -> str:
    message = " ".join(masked(error.user_message or "nothing").split())[:_LONGEST]
    if isinstance(error, stripe.APIConnectionError):
        return f"cannot be reached: {message}"
    status = f" {error.http_status}" if error.http_status else ""
    code = f" ({error.code})" if error.code else ""
    request = f" [{error.request_id}]" if error.request_id else ""
    return f"answered{status}{code}: {message}{request}"
