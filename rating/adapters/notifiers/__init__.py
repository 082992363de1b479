"""The channels on which people are told: email, chat, signed webhooks, two CRMs, the customer's inbox."""

from rating.adapters.notifiers.chat import ChatNotifier
from rating.adapters.notifiers.crm import HubSpotNotifier, SalesforceNotifier
from rating.adapters.notifiers.inbox import InboxNotifier
from rating.adapters.notifiers.mail import MailNotifier
from rating.adapters.notifiers.webhook import WebhookNotifier

__all__ = [
    "ChatNotifier",
    "HubSpotNotifier",
    "InboxNotifier",
    "MailNotifier",
    "SalesforceNotifier",
    "WebhookNotifier",
]
