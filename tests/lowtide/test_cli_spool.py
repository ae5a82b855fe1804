"""`lowtide spool`: what waits, and whether its files are whole."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from ingest.signals import Signal
from ingest.spool.settings import SpoolSettings
from ingest.spool.spool import Spool
from lowtide.instance_lock import InstanceLock

Command = Callable[..., Any]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def spool(data: Path) -> Iterator[Spool]:
    """Ten records of traces and one of logs; the first three are stored."""
    with Spool.open(data / "spool", SpoolSettings(segment_bytes=4096)) as opened:
        for number in range(10):
            body = b"%04d" % number + bytes(996)
            opened.append(Signal.TRACES, "default", body, items=7, received_ns=10**18 + number).result(30)
        opened.append(Signal.LOGS, "téam\x1b", b"x", items=1, received_ns=10**18).result(30)
        records = opened.read(Signal.TRACES, 0, max_bytes=1 << 20, max_records=3)
        opened.finish_batch(opened.begin_batch(Signal.TRACES, records))
        yield opened


def segments(data: Path) -> list[Path]:
    return sorted((data / "spool" / "traces").glob("*.seg"))


class TestStatus:
    def test_from_the_files_if_no_server_runs(self, spool: Spool, data: Path, lowtide: Command) -> None:
        spool.trim(spool.trim_mark())
        spool.close()

        code, out, err = lowtide("spool", "status", "--data", str(data), "-o", "json")

        assert code == 0
        rows = {row["signal"]: row for row in json.loads(out)}
        waiting = {name: row["requests_waiting"] for name, row in rows.items()}
        assert waiting == {"traces": 7, "metrics": 0, "logs": 1}
        assert rows["traces"]["oldest_waiting_at"] == "2001-09-09T01:46:40Z"
        assert rows["traces"]["retrying"] == "No server runs."
        assert rows["metrics"]["retrying"] == ""
        assert "No server runs; read from its files. The spool takes 2" in err
        assert "of 8.0 GiB" in err

    def test_what_no_checkpoint_has_is_stored_again(self, spool: Spool, data: Path, lowtide: Command) -> None:
        spool.close()

        _, out, err = lowtide("spool", "status", "--data", str(data), "-o", "json")

        waiting = {row["signal"]: row["requests_waiting"] for row in json.loads(out)}
        assert waiting == {"traces": 10, "metrics": 0, "logs": 1}
        assert "1 batch came after the store's last checkpoint" in err

    def test_from_the_running_server(self, data: Path, lowtide: Command) -> None:
        answer = {
            "read_at": "2026-01-02T03:04:05Z",
            "signals": [
                {
                    "signal": "traces", "received": 9, "accepted": 9, "refused": 0, "inserted": 4,
                    "requests_spooled": 3, "requests_waiting_at_start": 0, "requests_inserted": 1,
                    "requests_waiting": 2, "waiting_bytes": 2048,
                    "oldest_waiting_at": "2026-01-02T03:04:00Z", "last_insert_at": None,
                    "retrying": "The store does not answer.",
                }
            ],
            "requests_waiting": 2, "waiting_bytes": 2048, "lag_s": 5.0, "last_insert_at": None,
            "last_insert_age_s": None, "spool_bytes": 4096, "spool_limit_bytes": 8192,
        }  # fmt: skip
        asked: list[str] = []

        with serving(answer, asked) as address, InstanceLock.acquire(data) as lock:
            lock.publish({"api": address})
            code, out, err = lowtide("spool", "status", "--data", str(data))

        assert code == 0
        assert asked == ["/api/v1/pipeline"]
        assert err == "The running server. The spool takes 4.0 KiB of 8.0 KiB.\n"
        line = out.splitlines()[1]
        assert line.split()[:4] == ["traces", "2", "2.0", "KiB"]
        assert line.endswith("The store does not answer.")

    def test_a_server_of_another_version(self, data: Path, lowtide: Command) -> None:
        with serving({"signals": []}, []) as address, InstanceLock.acquire(data) as lock:
            lock.publish({"api": address})
            code, out, err = lowtide("spool", "status", "--data", str(data))

        assert (code, out) == (1, "")
        assert "restart the server" in err

    @pytest.mark.parametrize("command", ["status", "inspect"])
    def test_there_is_none(self, command: str, data: Path, lowtide: Command) -> None:
        code, out, err = lowtide("spool", command, "--data", str(data))

        assert (code, out) == (1, "")
        assert err.startswith(f"Error: There is no spool in {data} yet.")
        assert not data.exists()


class TestInspect:
    def test_segments_while_it_is_open(self, spool: Spool, data: Path, lowtide: Command) -> None:
        code, out, err = lowtide("spool", "inspect", "--data", str(data), "-o", "json")

        assert (code, err) == (0, "5 files, no damage.\n")
        rows = json.loads(out)
        assert [(row["signal"], row["state"], row["first_seq"], row["last_seq"]) for row in rows] == [
            ("traces", "closed", 1, 3), ("traces", "closed", 4, 6), ("traces", "closed", 7, 9),
            ("traces", "open", 10, 10), ("logs", "open", 1, 1),
        ]  # fmt: skip
        assert [row["records"] for row in rows] == [3, 3, 3, 1, 1]
        assert [row["size_bytes"] for row in rows[:4]] == [path.stat().st_size for path in segments(data)]

    def test_one_signal(self, spool: Spool, data: Path, lowtide: Command) -> None:
        code, out, _ = lowtide("spool", "inspect", "--data", str(data), "--signal", "logs")

        assert code == 0
        assert [line.split()[0] for line in out.splitlines()] == ["Signal", "logs"]

    def test_records(self, spool: Spool, data: Path, lowtide: Command) -> None:
        code, out, _ = lowtide("spool", "inspect", "--data", str(data), "--records", "-o", "csv")

        rows = list(csv.DictReader(io.StringIO(out)))
        assert code == 0
        assert [(row["signal"], row["seq"]) for row in rows] == [
            *(("traces", str(number)) for number in range(1, 11)), ("logs", "1"),
        ]  # fmt: skip
        assert (rows[0]["items"], rows[0]["body_bytes"], rows[0]["tenant"]) == ("7", "1000", "default")
        assert rows[0]["received_at"] == "2001-09-09T01:46:40Z"

    def test_names_cannot_steer_the_terminal(self, spool: Spool, data: Path, lowtide: Command) -> None:
        _, out, _ = lowtide("spool", "inspect", "--data", str(data), "--records")

        assert "téam\\x1b" in out

    def test_a_torn_end_is_no_damage(self, spool: Spool, data: Path, lowtide: Command) -> None:
        spool.close()
        path = segments(data)[-1]
        with path.open("ab") as file:
            file.write(path.read_bytes()[32:70])

        code, out, err = lowtide("spool", "inspect", "--data", str(data))

        assert code == 0
        assert " torn " in out
        assert f"traces/{path.name} ends in the beginning of a record" in err

    @pytest.mark.parametrize("extra", [[], ["--records"], ["-o", "json"]])
    def test_damage_is_said_in_words_and_by_the_exit_code(
        self, extra: list[str], spool: Spool, data: Path, lowtide: Command
    ) -> None:
        spool.close()
        path = segments(data)[1]
        content = bytearray(path.read_bytes())
        content[content.index(b"0004")] ^= 1
        path.write_bytes(content)

        code, out, err = lowtide("spool", "inspect", "--data", str(data), *extra)

        assert code == 1
        assert out
        assert "Error: The spool is damaged." in err
        assert f"traces/{path.name} has 1051 bytes that are no records; at least 1 records are lost." in err
        assert "docs/spool.md" in err
        assert path.read_bytes() == bytes(content)

    def test_a_damaged_log_of_batches(self, spool: Spool, data: Path, lowtide: Command) -> None:
        spool.close()
        log = data / "spool" / "batches.log"
        content = bytearray(log.read_bytes())
        content[40] ^= 1
        log.write_bytes(content)

        code, _, err = lowtide("spool", "inspect", "--data", str(data))

        assert code == 1
        assert "batches.log has 1 damaged entries" in err

    def test_what_was_set_aside_is_mentioned(self, spool: Spool, data: Path, lowtide: Command) -> None:
        spool.close()
        (data / "spool" / "damaged").mkdir()
        (data / "spool" / "damaged" / "traces-1-2.bin").write_bytes(b"x")

        code, _, err = lowtide("spool", "inspect", "--data", str(data))

        assert code == 0
        assert f"1 damaged pieces were set aside earlier, in {data / 'spool' / 'damaged'}." in err


class serving:  # noqa: N801 - used like a function
    """A server that gives one answer to everything."""

    def __init__(self, answer: object, asked: list[str]) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class TestQuarantine:
    @pytest.fixture
    def held(self, spool: Spool, data: Path) -> list[str]:
        """Two requests in quarantine."""
        for reason in ("not protobuf", "a number\ttoo large"):
            (record,) = spool.read(Signal.TRACES, spool.cursor(Signal.TRACES), max_bytes=1, max_records=1)
            batch = spool.begin_batch(Signal.TRACES, [record])
            spool.hold(batch, record, b"half of it", items=4, reason=reason)
            spool.finish_batch(batch)
        return sorted(path.stem for path in (data / "spool" / "quarantine").iterdir())

    def test_it_is_listed(self, held: list[str], data: Path, lowtide: Command) -> None:
        code, out, _ = lowtide("spool", "quarantine", "--data", str(data), "-o", "json")

        assert code == 0
        rows = json.loads(out)
        assert [row["name"] for row in rows] == held
        assert [row["reason"] for row in rows] == ["not protobuf", "a number\ttoo large"]
        assert {(row["tenant"], row["items"], row["body_bytes"], row["requeued"]) for row in rows} == {
            ("default", 4, 10, "")
        }
        assert rows[0]["received_at"].startswith("2001-09-09T01:46:40")

    def test_requeued_requests_go_back_into_the_spool(
        self, spool: Spool, held: list[str], data: Path, lowtide: Command
    ) -> None:
        code, _, err = lowtide("spool", "requeue", held[0], "--data", str(data))
        assert (code, "1 requeued" in err) == (0, True)
        _, out, _ = lowtide("spool", "quarantine", "--data", str(data), "-o", "json")
        assert [row["requeued"] for row in json.loads(out)] == ["yes", ""]
        before = spool.cursor(Signal.TRACES)

        assert spool.take_back() == 1

        last = spool.read(Signal.TRACES, before, max_bytes=1 << 20, max_records=100)[-1]
        assert (last.body, last.items, last.tenant) == (b"half of it", 4, "default")
        assert 10**18 <= last.received_ns < 10**18 + 10
        code, _, err = lowtide("spool", "requeue", "--all", "--data", str(data))
        assert (code, "1 requeued" in err) == (0, True)

    def test_dropped_requests_are_gone(self, held: list[str], data: Path, lowtide: Command) -> None:
        code, _, err = lowtide("spool", "drop", held[1], "--data", str(data))
        assert (code, "1 deleted" in err) == (0, True)
        code, _, err = lowtide("spool", "drop", "--all", "--data", str(data))
        assert (code, "1 deleted" in err) == (0, True)
        assert list((data / "spool" / "quarantine").iterdir()) == []

    @pytest.mark.parametrize("arguments", [(), ("traces-1", "--all")])
    @pytest.mark.parametrize("command", ["drop", "requeue"])
    def test_what_is_meant_must_be_said(
        self, held: list[str], data: Path, lowtide: Command, command: str, arguments: tuple[str, ...]
    ) -> None:
        code, _, err = lowtide("spool", command, *arguments, "--data", str(data))
        assert code == 1
        assert "--all" in err
        assert len(list((data / "spool" / "quarantine").iterdir())) == 2

    @pytest.mark.parametrize("name", ["traces-1", "../../etc/passwd", ""])
    def test_unknown_names_are_refused(
        self, held: list[str], data: Path, lowtide: Command, name: str
    ) -> None:
        code, _, err = lowtide("spool", "drop", name, "--data", str(data))
        assert code == 1
        assert "holds no request" in err

    def test_status_tells_of_it(self, spool: Spool, held: list[str], data: Path, lowtide: Command) -> None:
        spool.close()
        _, _, err = lowtide("spool", "status", "--data", str(data))
        assert "cannot take 2 requests" in err
