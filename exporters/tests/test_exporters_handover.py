"""Totals that move: to another host, into a text file, to a Pushgateway."""

from __future__ import annotations

import os
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from rating_exporters import Batch, DurableStore, PushFailed, cli, push, write_textfile


def store_of(folder: Path, clock: float = 100.0) -> tuple[DurableStore, CollectorRegistry]:
    registry = CollectorRegistry()
    return DurableStore(folder, registry, clock=lambda: clock), registry


def counting(folder: Path, calls: int, clock: float = 100.0) -> DurableStore:
    store, _ = store_of(folder, clock)
    store.counter("calls_total", "Calls.", ("who",)).labels('a"b\n').inc(calls)
    store.counter("open_seconds_total", "Open.", ("who",), scale=1000).labels("é").inc(1.5)
    return store


def test_totals_and_created_timestamps_go_on_at_another_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there, text = tmp_path / "here", tmp_path / "there", tmp_path / "totals.json"
    first, second = counting(here, 3), counting(here, 4, clock=50.0)  # two workers, two slots
    assert cli.main(["state", "export", str(here), str(text)]) == 2
    assert "a process counts into it; stop it first" in capsys.readouterr().err
    first.close()
    second.close()
    assert cli.main(["state", "export", str(here), str(text), "--dry-run"]) == 0
    assert not text.exists()
    assert cli.main(["state", "export", str(here), str(text)]) == 0
    assert "2 series" in capsys.readouterr().out
    assert cli.main(["state", "import", str(there), str(text), "--dry-run"]) == 0
    assert not there.exists()
    assert cli.main(["state", "import", str(there), str(text)]) == 0
    assert cli.main(["state", "check", str(there)]) == 0
    store, registry = store_of(there)
    calls = store.counter("calls_total", "Calls.", ("who",))
    store.counter("open_seconds_total", "Open.", ("who",), scale=1000)
    calls.labels('a"b\n').inc()
    assert registry.get_sample_value("calls_total", {"who": 'a"b\n'}) == 8
    assert registry.get_sample_value("calls_created", {"who": 'a"b\n'}) == 50.0
    assert registry.get_sample_value("open_seconds_total", {"who": "é"}) == 3.0
    store.close()
    left, registry = store_of(here)  # whoever is started at the old host begins anew
    left.counter("calls_total", "Calls.", ("who",))
    assert registry.get_sample_value("calls_total", {"who": 'a"b\n'}) is None
    left.close()


def test_what_was_cut_changed_or_given_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    counting(tmp_path / "here", 3).close()
    text = tmp_path / "totals.json"
    assert cli.main(["state", "export", str(tmp_path / "here"), str(text)]) == 0
    whole = text.read_text()
    for bad, sentence in (
        (whole.replace("\n3\n", "\n4\n"), "the check of this text does not fit"),
        (whole[: len(whole) // 2], "no text that `state export` wrote"),
        ("[]", "no text that `state export` wrote"),
    ):
        text.write_text(bad)
        assert cli.main(["state", "import", str(tmp_path / "there"), str(text)]) == 2
        assert sentence in capsys.readouterr().err
        assert not list((tmp_path / "there").glob("*")) if (tmp_path / "there").exists() else True
    text.write_text(whole)
    assert cli.main(["state", "import", str(tmp_path / "there"), str(text)]) == 0
    assert cli.main(["state", "import", str(tmp_path / "there"), str(text)]) == 2
    assert "two histories cannot become one" in capsys.readouterr().err
    assert cli.main(["state", "export", str(tmp_path / "nothing"), str(tmp_path / "x")]) == 2
    assert "holds no counter files" in capsys.readouterr().err
    assert cli.main(["state", "export", str(tmp_path / "there"), str(text)]) == 2  # never over an older export
    assert text.read_text() == whole


def test_a_text_file_is_the_whole_page_or_the_one_before_it(tmp_path: Path) -> None:
    """A reader that looks all the time never sees half a page."""
    store, registry = store_of(tmp_path / "state")
    counter = store.counter("rows_total", "Rows.", ("who",))
    target, stop, seen = tmp_path / "job.prom", threading.Event(), []

    def look() -> None:
        while not stop.is_set():
            if target.exists():
                seen.append(target.read_text())

    for n in range(300):
        counter.labels(f"consumer-{n}").inc()
    write_textfile(target, registry)
    reader = threading.Thread(target=look)
    reader.start()
    for _ in range(20):
        counter.labels("consumer-0").inc()
        write_textfile(target, registry)
        time.sleep(0.002)
    stop.set()
    reader.join()
    assert len(seen) > 5
    # 300 lines of totals, 300 of creation times, and what describes both
    assert {page.count("\n") for page in seen} == {604}
    assert os.listdir(tmp_path) in (["state", "job.prom"], ["job.prom", "state"])
    store.close()


def test_a_batch_goes_on_from_the_run_before_and_goes_out_when_it_breaks(tmp_path: Path) -> None:
    target = tmp_path / "job.prom"
    for run in range(3):
        store, registry = store_of(tmp_path / "state")
        counter = store.counter("rows_total", "Rows.", ("who",))
        try:
            with Batch(registry, textfile=target):
                counter.labels("acme").inc(10)
                if run == 2:
                    raise RuntimeError("half way")
        except RuntimeError:
            pass
        store.close()
    assert 'rows_total{who="acme"} 30\n' in target.read_text()
    for wrong in ({}, {"textfile": "a", "gateway": "b"}, {"gateway": "b"}):
        with pytest.raises(ValueError, match="textfile=, or to gateway="):
            Batch(registry, **wrong)  # type: ignore[arg-type]


def test_a_real_pushgateway_holds_what_a_batch_pushed(tmp_path: Path) -> None:
    parts = pytest.importorskip("rating_demo.parts", reason="needs the engine's demonstration, which starts servers")
    try:
        program = parts.locate("pushgateway", install=os.environ.get("PARTS_INSTALL", "1") != "0")
    except parts.PartMissing as missing:
        pytest.skip(str(missing))
    port = parts.free_port()
    url = f"http://127.0.0.1:{port}"
    gateway = parts.Process("pushgateway", [program, f"--web.listen-address=127.0.0.1:{port}"], tmp_path / "log")
    store, registry = store_of(tmp_path / "state")
    counter = store.counter("rows_total", "Rows.", ("who",))
    counter.labels("acme").inc(7)
    with pytest.raises(PushFailed, match="the next push carries it"):
        push(url, "nightly", registry, tries=1)
    gateway.start()
    try:
        gateway.wait_until(lambda: parts.answers(f"{url}/-/ready"), 20)
        for _ in range(2):  # a push that is repeated is the same push
            with Batch(registry, gateway=url, job="nightly/report", grouping={"team": "a"}):
                counter.labels("acme").inc(0)
        page = urllib.request.urlopen(f"{url}/metrics", timeout=5).read().decode()
    finally:
        gateway.stop()
        store.close()
    assert 'rows_total{instance="",job="nightly/report",team="a",who="acme"} 7\n' in page
