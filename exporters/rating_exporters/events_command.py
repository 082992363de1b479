"""`rating-exporters events`: a process that counts the messages of a broker and serves its page until it is stopped."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from pathlib import Path

from .brokers import Broker, BrokerRefused, BrokerUnavailable, Delivery, Gap
from .eventrule import EventRule, judged
from .events import EventCounter, guard_for, would_count
from .eventstate import COMMAND, KEPT_IDS, EventState, places_of
from .guard import DEFAULT_BOUNDS
from .preview import Preview, add_output, added, output_of
from .serving import Page, process_registry, told_to_stop
from .totals import opened
from .vocabulary import CONSUMER, EVENT_QUANTITY, EVENTS

BROKERS = ("kafka", "rabbitmq", "redis", "nats")
BACKLOG_EVERY = 10.0  # seconds
TRY_AGAIN = 2.0  # seconds
FEWEST_IDS = 10_000  # many times what any adapter has on its way

DESCRIPTION = """\
Count the messages of a broker into events_total{consumer_id,topic,...} and serve them on a /metrics page.
Each message counts once: how far each topic was read and the totals are one transaction in --state."""

EPILOG = """\
fields (--consumer, --dimension, --quantity, --id):
  customer.id       json: into the body. cloudevents: data.customer.id into its data, subject an attribute.
  header:x-tenant   a header, in any format; the broker's own are broker-key, broker-subject, broker-routing-key

what makes a message count once:
  kafka     the offset of its partition         redis  the id of its entry (streams, by XREAD)
  nats      its sequence in the stream          rabbitmq streams  its offset
  rabbitmq queues have no offsets: each message needs an id (message_id, --id or a CloudEvent's), else it is set aside

examples:
  rating-exporters events kafka --at broker:9092 --topic orders --state orders.sqlite --consumer customer.id --check
  rating-exporters events kafka --at broker:9092 --topic orders --state orders.sqlite --consumer customer.id
  rating-exporters events nats --at nats://broker:4222 --topic JOBS --state jobs.sqlite --format cloudevents \\
      --consumer subject --dimension kind=type --quantity data.gigabytes --decimals 3
  rating-exporters events --set-aside --state orders.sqlite      # what could not be counted, and why

In the catalogue, meters of these counters are `counter: durable`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description, parser.epilog = DESCRIPTION, EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("broker", nargs="?", choices=BROKERS, help="each is an extra: rating-exporters[kafka] ...")
    parser.add_argument("--at", metavar="ADDRESS", help="host:port,... of Kafka; amqp://, redis:// or nats:// address")
    parser.add_argument("--topic", action="append", default=[], metavar="NAME", help="topic, queue or stream; repeat")
    parser.add_argument("--state", type=Path, required=True, metavar="FILE", help="SQLite file of positions and totals")
    parser.add_argument("--format", default="json", choices=("json", "cloudevents", "headers"))
    parser.add_argument(
        "--consumer", default="", metavar="FIELD", help="who is counted (consumer_id; of CloudEvents subject)"
    )
    parser.add_argument(
        "--dimension", action="append", default=[], metavar="LABEL=FIELD", help="a further label; repeat"
    )
    parser.add_argument("--quantity", metavar="FIELD", help="also add this number to event_quantity_total")
    parser.add_argument("--decimals", type=int, default=0, metavar="N", help="decimals a quantity may have (0)")
    parser.add_argument("--id", metavar="FIELD", help="the same in an event published twice: count it once")
    parser.add_argument(
        "--remember", type=int, default=KEPT_IDS, metavar="N", help=f"ids kept per topic ({KEPT_IDS:,})"
    )
    parser.add_argument("--from", dest="begin", default="beginning", choices=("beginning", "end"),
                        help="where a topic begins that the state file does not know")  # fmt: skip
    parser.add_argument("--begin-again", action="append", default=[], metavar="TOPIC",
                        help="this topic was made anew: forget how far it was read, keep the totals")  # fmt: skip
    parser.add_argument(
        "--group", metavar="NAME", help="kafka: share the partitions with other processes of this group"
    )
    parser.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="kafka: librdkafka's own")
    parser.add_argument("--body-field", default="data", metavar="FIELD", help="redis: the entry's field with the body")
    parser.add_argument("--credentials", metavar="FILE", help="nats: a credentials file")
    parser.add_argument("--max-consumers", type=int, default=DEFAULT_BOUNDS[CONSUMER], metavar="N")
    parser.add_argument("--listen", default="127.0.0.1:9120", metavar="HOST:PORT")
    parser.add_argument("--check", "--dry-run", type=int, nargs="?", const=20, metavar="N",
                        help="say what the next N messages (20) would count, and change nothing")  # fmt: skip
    add_output(parser)
    parser.add_argument("--set-aside", action="store_true", help="list the messages that could not be counted")


def run(options: argparse.Namespace) -> int:
    """Count and serve until SIGTERM or SIGINT. 1 when a check finds trouble, 2 when it cannot start or go on."""
    try:
        output = output_of(options, options.check is not None and not options.set_aside)
        if options.set_aside:
            return _list_aside(options.state)
        if options.broker is None or not options.at or not options.topic:
            raise ValueError("which broker, where and what? e.g. events kafka --at broker:9092 --topic orders")
        rule = _rule(options)
        if options.check is not None:
            return _check(options, rule, output)
        return _serve(options, rule)
    except ModuleNotFoundError as error:
        text = f"{error}; install it with: pip install 'rating-exporters[{options.broker}]'"
    except BrokerUnavailable as error:
        text = f"{error}; is it running, and is this its address (--at)?"
    except (BrokerRefused, OSError, OverflowError, ValueError, sqlite3.Error) as error:
        text = str(error)
    print(f"rating-exporters: {text}", file=sys.stderr)
    return 2


def _rule(options: argparse.Namespace) -> EventRule:
    return EventRule(
        options.format, options.consumer, _pairs(options.dimension, "--dimension"), options.quantity, options.decimals,
        options.id,
    )  # fmt: skip


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    found = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise ValueError(f"{option} {text}: it reads NAME=VALUE")
        found[name] = value
    return found


def _broker(options: argparse.Namespace, state_id: str, *, looking: bool = False) -> Broker:
    at_end = options.begin == "end"
    if options.broker == "kafka":
        from .broker_kafka import KafkaBroker

        return KafkaBroker(
            options.at, options.topic, group=None if looking else options.group, state_id=state_id, at_end=at_end,
            options=_pairs(options.option, "--option"),
        )  # fmt: skip
    if options.broker == "redis":
        from .broker_redis import RedisBroker

        return RedisBroker(options.at, options.topic, body=options.body_field, at_end=at_end)
    if options.broker == "nats":
        from .broker_nats import NatsBroker

        return NatsBroker(options.at, options.topic, credentials=options.credentials, at_end=at_end)
    from .broker_rabbitmq import RabbitBroker

    return RabbitBroker(options.at, options.topic, at_end=at_end)


def _sensible(options: argparse.Namespace) -> None:
    if options.remember < FEWEST_IDS:
        raise ValueError(
            f"--remember {options.remember}: a broker may deliver thousands of messages again: at least {FEWEST_IDS}"
        )
    if options.group and options.broker != "kafka":
        raise ValueError("--group is for kafka; of the others, one process reads a topic")


def _state(options: argparse.Namespace, rule: EventRule) -> EventState:
    _sensible(options)
    return EventState(options.state, rule.settings(), shared=bool(options.group), kept_ids=options.remember)


def _check(options: argparse.Namespace, rule: EventRule, output: str) -> int:
    """Read a few messages, say what they would count, and leave everything as it was."""
    _sensible(options)
    places = {}
    if (database := opened(options.state, COMMAND, rule.settings())) is not None:
        places = places_of(database)
        database.close()
    broker = _broker(options, "", looking=True)
    broker.open(lambda: places)
    try:
        found: list[Delivery] = []
        until = time.monotonic() + 5  # the first may take its time; after it, a second without another ends the look
        while len(found) < options.check and time.monotonic() < until:
            more = broker.receive(options.check - len(found), 0.5)
            found += more
            until = time.monotonic() + 1 if more else until
        warnings = list(broker.warnings())
    finally:
        broker.close()
    guard = guard_for(rule, None, options.max_consumers)
    adds, aside = would_count([judged(rule, guard, delivery) for delivery in found])
    lost = sum(one.lost for one in found if isinstance(one, Gap))
    Preview(
        sum(not isinstance(one, Gap) for one in found),
        f"messages of {', '.join(options.topic)}",
        added(adds, {EVENTS: rule.labels, EVENT_QUANTITY: rule.labels}, {EVENT_QUANTITY: rule.decimals}),
        [(f"{message.partition} {'-'.join(map(str, message.position))}", reason) for message, reason in aside],
        warnings + ([f"{lost} messages are gone that were never read"] if lost else []),
    ).show(output)
    return 1 if aside or lost else 0


def _serve(options: argparse.Namespace, rule: EventRule) -> int:
    registry = process_registry()
    state = _state(options, rule)
    for topic in options.begin_again:
        print(f"forgot {state.forget(topic)} positions of {topic}; its totals go on", flush=True)
    guard = guard_for(rule, registry, options.max_consumers)
    counter = EventCounter(_broker(options, state.id), state, rule, registry=registry, guard=guard)
    page = Page(options.listen, registry)
    counter.open()  # what is wrong with the address or a topic is said before anything runs
    for warning in counter.broker.warnings():
        print(f"rating-exporters: {warning}", file=sys.stderr, flush=True)
    page.start()
    stop = told_to_stop()
    print(f"counting {', '.join(options.topic)} of {options.broker}, serving {page.address}", flush=True)
    looked = 0.0
    try:
        while not stop.is_set():
            try:
                counter.step()
                if time.monotonic() - looked > BACKLOG_EVERY:
                    counter.look_at_backlog()
                    looked = time.monotonic()
            except (BrokerUnavailable, OSError, sqlite3.Error) as error:
                # The broker is away, or the disk is full: nothing was committed, so nothing is lost by waiting.
                print(f"rating-exporters: {error}; tried again in {TRY_AGAIN:g} s", file=sys.stderr, flush=True)
                while not stop.wait(TRY_AGAIN) and not _reopened(counter):
                    continue
    finally:
        counter.broker.close()
        page.stop()
        state.close()
    return 0


def _reopened(counter: EventCounter) -> bool:
    try:
        counter.broker.close()
        counter.open()
    except BrokerUnavailable:
        return False
    return True


def _list_aside(path: Path) -> int:
    database = opened(path, COMMAND)
    if database is None:
        raise ValueError(f"{path}: there is no such state file")
    rows = database.execute("SELECT * FROM set_aside ORDER BY number")
    listed = 0
    for row in rows:
        listed += 1
        _, at, _, partition, position, reason, headers, length, body = row
        when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
        print(f"{when} {partition} {position}: {reason}")
        print(f"    headers {headers}")
        print(f"    body ({length} bytes) {body[:500].decode('utf-8', 'backslashreplace')!r}")
    print(f"{listed} messages set aside")
    return 0
