"""`python -m tests.stripe_peer --port 0`: the server as a process. Its first line is its address."""

from __future__ import annotations

import argparse
import signal
import threading

from tests.stripe_peer.peer import StripePeer


def main() -> None:
    parser = argparse.ArgumentParser(description="A stateful local Stripe for tests; see the README beside this file.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--now", type=int, help="where its clock starts, in Unix seconds")
    parser.add_argument("--standing", action="store_true", help="the clock moves only when it is told to")
    arguments = parser.parse_args()
    end = threading.Event()
    for word in (signal.SIGINT, signal.SIGTERM):
        signal.signal(word, lambda *_: end.set())
    with StripePeer(arguments.now, standing=arguments.standing, port=arguments.port) as peer:
        print(peer.url, flush=True)
        end.wait()


if __name__ == "__main__":
    main()
