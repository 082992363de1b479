"""Email by SMTP: text and HTML, with a link to hear no more of it. Knows SMTP's answers, not whom to tell.

A server's 4xx (greylisting, a full mailbox) is tried again, its 5xx is not. Every attempt carries one Message-ID, so
that a mailbox can drop what it has.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from html import escape

from rating.core.deliveries import Delivery
from rating.errors import EdgeRefused, EdgeUnavailable
from rating.specs.wording import Words, one_line, sentence, worded

TIMEOUT = 20.0


class MailNotifier:
    """Keeps the promises of `ports.Notifier`.

    Args:
        server: host and port.
        security: `starttls`, `tls` or `none`; never weaker than asked, whatever the server offers.
        sender: an address, with a name or without.
        to: where every mail goes; empty for the customer's own address.
    """

    def __init__(
        self,
        channel: str,
        server: str,
        sender: str,
        *,
        security: str = "starttls",
        username: str = "",
        password: str = "",
        to: str = "",
        ca_file: str = "",
        timeout: float = TIMEOUT,
    ) -> None:
        self.to_customer = not to
        self._host, _, port = server.rpartition(":")
        self._port, self._security = int(port), security
        self._username, self._password = username, password
        self._to, self._ca_file, self._timeout = to, ca_file, timeout
        self._where = f"channel {channel} at {server}"
        self._sender = one_line(sender)

    def preview(self, delivery: Delivery) -> str:
        message = self.message(delivery)
        head = "\n".join(f"{name}: {message[name]}" for name in ("From", "To", "Subject"))
        text = message.get_body(("plain",))
        assert text is not None
        return f"{head}\n\n{text.get_content()}"

    def deliver(self, delivery: Delivery, *, unsubscribe: str = "") -> str:
        message = self.message(delivery, unsubscribe=unsubscribe)
        recipient = self._to or delivery.planned.recipient
        with self._answers(), self._connected() as server:
            refused = server.send_message(message, from_addr=parseaddr(self._sender)[1], to_addrs=[recipient])
        assert not refused
        return f"accepted for {recipient}"

    def message(self, delivery: Delivery, *, unsubscribe: str = "") -> EmailMessage:
        """The mail as it goes out."""
        told, planned = delivery.told, delivery.planned
        words = worded(told.notification, planned.language, at=told.at, to_customer=self.to_customer)
        stop = sentence(planned.language, "unsubscribe", link=unsubscribe) if unsubscribe else ""
        message = EmailMessage(policy=SMTP)
        name, address = parseaddr(self._sender)
        message["From"] = Address(one_line(name), addr_spec=address)
        message["To"] = Address(addr_spec=self._to or planned.recipient)
        message["Subject"] = words.subject
        message["Date"] = format_datetime(told.at)
        message["Message-ID"] = f"<{delivery.key}@{address.rpartition('@')[2]}>"
        # Mail from programs says so: holiday notes are then not sent back.
        message["Auto-Submitted"] = "auto-generated"
        if unsubscribe:
            message["List-Unsubscribe"] = f"<{unsubscribe}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        message.set_content("\n\n".join((words.subject + ".", *words.lines, *filter(None, [stop]))) + "\n")
        message.add_alternative(html(words, planned.language, unsubscribe), subtype="html")
        # Last: setting the content takes every header about content away.
        message["Content-Language"] = planned.language
        return message

    @contextmanager
    def _connected(self) -> Iterator[smtplib.SMTP]:
        context = ssl.create_default_context(cafile=self._ca_file or None)
        if self._security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(self._host, self._port, timeout=self._timeout, context=context)
        else:
            server = smtplib.SMTP(self._host, self._port, timeout=self._timeout)
        with server:
            if self._security == "starttls":
                server.starttls(context=context)
            if self._username:
                server.login(self._username, self._password)
            yield server

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """SMTP's answers as ours."""
        try:
            yield
        except smtplib.SMTPRecipientsRefused as error:
            code, said = next(iter(error.recipients.values()))
            raise self._meaning(code, said) from error
        except smtplib.SMTPNotSupportedError as error:
            raise EdgeUnavailable(
                f"{self._where}: offers no {self._security if 'STARTTLS' in str(error) else 'login'} ({error}); "
                "set security and username as the server has them"
            ) from error
        except smtplib.SMTPAuthenticationError as error:
            # Mended on our side: every mail would else become a dead letter because of one password.
            raise EdgeUnavailable(
                f"{self._where}: {error.smtp_code} login refused; check its username and password"
            ) from None
        except smtplib.SMTPResponseException as error:
            raise self._meaning(error.smtp_code, error.smtp_error) from error
        except ssl.SSLError as error:
            raise EdgeUnavailable(
                f"{self._where}: no secure connection ({error.reason}); check its certificate"
            ) from error
        except (smtplib.SMTPException, OSError) as error:
            why = one_line(str(error)) or type(error).__name__
            raise EdgeUnavailable(f"{self._where}: cannot be reached ({why}); it is tried again") from error

    def _meaning(self, code: int, said: bytes | str) -> EdgeUnavailable | EdgeRefused:
        text = one_line(said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:160]
        if 500 <= code < 600:
            return EdgeRefused(f"{self._where}: {code} {text}; mend the address, then `rating notify retry`")
        return EdgeUnavailable(f"{self._where}: {code} {text}; it is tried again")


def html(words: Words, language: str, unsubscribe: str = "") -> str:
    """The same words for those whose mail program shows HTML. No picture, no script, nothing fetched from anywhere."""
    paragraphs = "".join(f"<p>{escape(line)}</p>\n" for line in words.lines)
    if unsubscribe:
        link = f'<a href="{escape(unsubscribe)}">{escape(unsubscribe)}</a>'
        stop = escape(sentence(language, "unsubscribe", link="\x00")).replace("\x00", link)
        paragraphs += f'<p style="color:#666;font-size:12px">{stop}</p>\n'
    return (
        f'<!doctype html>\n<html lang="{language}"><head><meta charset="utf-8"><title>{escape(words.subject)}</title>'
        '</head>\n<body style="font-family:sans-serif;max-width:40em;line-height:1.5">\n'
        f'<h1 style="font-size:18px">{escape(words.subject)}</h1>\n{paragraphs}</body></html>\n'
    )
