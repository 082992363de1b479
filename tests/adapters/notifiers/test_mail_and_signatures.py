"""What mail and signed webhooks promise beyond the port: secure connections, logins, heads nobody breaks out of, and
signatures that a program which is not ours finds right.
"""

from __future__ import annotations

import base64
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from rating.adapters.notifiers import HubSpotNotifier, MailNotifier, SalesforceNotifier, WebhookNotifier
from rating.errors import EdgeRefused, EdgeUnavailable
from rating_demo.mailbox import Mailbox
from rating_demo.receiver import Answer, Receiver
from tests.promises.notifier.far import HOSTILE, NEWS, SECRET, delivery

LOGIN = ("rating", SECRET)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A certificate for 127.0.0.1, signed by itself."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed; apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    return cert, context


def mailer(box: Mailbox, **options: str) -> MailNotifier:
    return MailNotifier("mail", box.server, "Größe & Söhne <api@seller.example>", timeout=3, **options)


def test_starttls_and_a_login(certificate: tuple[Path, ssl.SSLContext]) -> None:
    cert, context = certificate
    with Mailbox(tls=context, login=LOGIN) as box:
        mail = mailer(box, username=LOGIN[0], password=LOGIN[1], ca_file=str(cert))
        assert mail.deliver(delivery()) == "accepted for ada@acme.example"
        assert len(box.received) == 1


def test_a_certificate_nobody_vouches_for_is_not_spoken_to(certificate: tuple[Path, ssl.SSLContext]) -> None:
    with Mailbox(tls=certificate[1], login=LOGIN) as box:
        with pytest.raises(EdgeUnavailable, match=r"no secure connection.*check its certificate"):
            mailer(box, username=LOGIN[0], password=LOGIN[1]).deliver(delivery())
        assert box.received == ()


def test_a_server_without_starttls_is_never_given_the_password_in_the_open() -> None:
    with Mailbox() as box:
        with pytest.raises(EdgeUnavailable, match="offers no starttls"):
            mailer(box, username=LOGIN[0], password=LOGIN[1]).deliver(delivery())
        assert box.received == ()


def test_a_wrong_password_is_ours_to_mend_and_not_a_dead_letter(certificate: tuple[Path, ssl.SSLContext]) -> None:
    cert, context = certificate
    with Mailbox(tls=context, login=LOGIN) as box:
        with pytest.raises(EdgeUnavailable, match="login refused; check its username and password") as failure:
            mailer(box, username=LOGIN[0], password="guess", ca_file=str(cert)).deliver(delivery())
        assert "guess" not in str(failure.value)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("421 closing", EdgeUnavailable),
        ("450 mailbox busy", EdgeUnavailable),
        ("452 full", EdgeUnavailable),
        ("550 no such user", EdgeRefused),
        ("554 spam", EdgeRefused),
    ],
)
def test_what_smtp_answers_mean(answer: str, kind: type[Exception]) -> None:
    with Mailbox(answer=lambda number: answer) as box, pytest.raises(kind, match=answer[:3]):
        mailer(box, security="none").deliver(delivery())


def test_the_mail_as_it_arrives() -> None:
    link = "https://rating.example/unsubscribe?t=abc"
    with Mailbox() as box:
        mailer(box, security="none").deliver(delivery(language="de"), unsubscribe=link)
        [one] = box.received
    head = one.message
    assert str(head["From"]) == "Größe & Söhne <api@seller.example>"
    assert str(head["To"]) == one.recipient == "ada@acme.example"
    assert str(head["Subject"]) == "80 % der in Pro enthaltenen API calls sind verbraucht"
    assert str(head["List-Unsubscribe"]) == f"<{link}>"
    assert str(head["List-Unsubscribe-Post"]) == "List-Unsubscribe=One-Click"
    assert (str(head["Content-Language"]), str(head["Auto-Submitted"])) == ("de", "auto-generated")
    assert str(head["Message-ID"]) == f"<{delivery().key}@seller.example>"
    for part in (one.text, one.html):
        assert "81.234 von 100.000 API calls wurden vom 1. Oktober 2026 bis zum 14. Oktober 2026 verbraucht." in part
        assert "Mit Scale hätte der Zeitraum bisher 15,27" in part
        assert link in part
    assert "http" not in one.html.replace(link, ""), "nothing is fetched from anywhere"


def test_always_to_our_own_people() -> None:
    with Mailbox() as box:
        mail = mailer(box, security="none", to="books@seller.example")
        assert not mail.to_customer
        mail.deliver(delivery())
        [one] = box.received
    assert one.recipient == "books@seller.example"
    assert one.text.count("Customer: Acme Holding (acme)") == 1


def test_nothing_a_customer_is_called_breaks_out_of_a_mail() -> None:
    with Mailbox() as box:
        mailer(box, security="none", to="books@seller.example").deliver(delivery(HOSTILE))
        [one] = box.received
    assert one.message.get_all("Bcc") is None
    assert "<script>" not in one.html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in one.html


# signatures ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", ["shared words", "whsec_" + base64.b64encode(b"0123456789abcdef").decode()])
def test_openssl_computes_the_same_signature(secret: str, tmp_path: Path) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed; apt-get install openssl")
    with Receiver() as crm:
        WebhookNotifier("crm", crm.url, secret).deliver(delivery())
        [posted] = crm.posted
    signed = tmp_path / "signed"
    name, stamp = posted.headers["webhook-id"], posted.headers["webhook-timestamp"]
    signed.write_bytes(f"{name}.{stamp}.".encode() + posted.body)
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    options = ["-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    done = subprocess.run([openssl, "dgst", "-sha256", *options, signed], check=True, capture_output=True)
    assert posted.headers["webhook-signature"] == "v1," + base64.b64encode(done.stdout).decode()


@pytest.mark.parametrize("what", ["another secret", "an old time", "a time from tomorrow"])
def test_a_receiver_refuses_what_is_not_signed_by_us_now(what: str) -> None:
    hours = {"an old time": -1, "a time from tomorrow": 24}.get(what, 0)
    secret = "guessed" if what == "another secret" else SECRET
    with Receiver(secret=SECRET) as crm:
        channel = WebhookNotifier("crm", crm.url, secret, clock=lambda: datetime.now(UTC) + timedelta(hours=hours))
        with pytest.raises(EdgeRefused, match="signature is wrong"):
            channel.deliver(delivery())
        assert crm.posted == ()


def test_a_second_copy_is_known_by_its_id() -> None:
    with Receiver(secret=SECRET) as crm:
        channel = WebhookNotifier("crm", crm.url, SECRET)
        for _ in range(3):
            channel.deliver(delivery())
        assert (len(crm.posted), crm.dropped) == (1, 2)
        document = crm.posted[0].document
    assert (document["used"], document["allowance"], document["mark"]) == ("81234", "100000", "80%")
    assert document["next_plan_costs_more"] == {"amount": "-15.27", "currency": "USD"}
    assert document["summary"] == "80% of the API calls included in Pro are used"


def test_credentials_are_not_carried_to_where_a_redirect_points() -> None:
    with Receiver() as elsewhere:
        moved = Answer(307, (("Location", elsewhere.url),))
        with Receiver(answer=lambda number: moved) as crm, pytest.raises(EdgeRefused, match="307"):
            HubSpotNotifier("hub", SECRET, url=crm.url).deliver(delivery())
        assert elsewhere.posted == ()


@pytest.mark.parametrize(
    ("status", "headers", "kind", "seconds"),
    [
        (429, (("Retry-After", "7"),), EdgeUnavailable, 7),
        (503, (("Retry-After", "nonsense"),), EdgeUnavailable, None),
        (503, (("Retry-After", "-5"),), EdgeUnavailable, None),
        (503, (("Retry-After", "99999999999"),), EdgeUnavailable, 86400),
        (500, (), EdgeUnavailable, None),
        (401, (), EdgeUnavailable, None),
        (403, (), EdgeUnavailable, None),
        (400, (), EdgeRefused, None),
        (404, (), EdgeRefused, None),
        (410, (), EdgeRefused, None),
        (302, (("Location", "http://127.0.0.1:1/"),), EdgeRefused, None),
    ],
)
def test_what_http_answers_mean(
    status: int, headers: tuple[tuple[str, str], ...], kind: type[Exception], seconds: int | None
) -> None:
    with Receiver(answer=lambda number: Answer(status, headers)) as crm, pytest.raises(kind) as failure:
        WebhookNotifier("crm", crm.url, SECRET).deliver(delivery())
    if isinstance(failure.value, EdgeUnavailable):
        asked = failure.value.retry_after
        assert (None if asked is None else asked.total_seconds()) == seconds


def test_retry_after_as_a_date() -> None:
    now = datetime(2026, 10, 14, 12, tzinfo=UTC)
    later = format_datetime(now + timedelta(minutes=10), usegmt=True)
    answer = Answer(503, (("Retry-After", later),))
    with Receiver(answer=lambda number: answer) as crm, pytest.raises(EdgeUnavailable) as failure:
        WebhookNotifier("crm", crm.url, SECRET, clock=lambda: now).deliver(delivery())
    assert failure.value.retry_after == timedelta(minutes=10)


# the CRMs' own shapes -----------------------------------------------------------------------------------------------


def test_a_deal_in_hubspot_s_shape() -> None:
    with Receiver() as crm:
        HubSpotNotifier("hub", SECRET, url=crm.url).deliver(delivery())
        [posted] = crm.posted
    assert (posted.method, posted.path) == ("POST", "/intake/crm/objects/2026-03/deals/batch/upsert")
    assert posted.headers["authorization"] == f"Bearer {SECRET}"
    [deal] = posted.document["inputs"]
    assert (deal["idProperty"], deal["id"]) == ("rating_notification_id", NEWS.id)
    assert deal["properties"] == {
        "dealname": "Acme Holding: 80% of the API calls included in Pro are used",
        "description": deal["properties"]["description"],
        "pipeline": "default",
        "dealstage": "appointmentscheduled",
        "closedate": "2026-11-01T00:00:00Z",
        "amount": "41.19",
    }


def test_an_opportunity_in_salesforce_s_shape() -> None:
    with Receiver() as crm:
        SalesforceNotifier("force", crm.url, SECRET).deliver(delivery())
        [posted] = crm.posted
    assert posted.method == "PATCH"
    assert posted.path == f"/intake/services/data/v60.0/sobjects/Opportunity/Rating_Notification__c/{NEWS.id}"
    document = posted.document
    assert (document["StageName"], document["CloseDate"]) == ("Prospecting", "2026-11-01")
    # A number, digit by digit: never through a float.
    assert b'"Amount":41.19' in posted.body
    assert "Rating_Notification__c" not in document
