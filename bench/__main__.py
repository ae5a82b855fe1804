"""`python -m bench`: measure, print, and keep the results in `bench/results/`.

python -m bench                     everything
python -m bench ingest --seconds 5  one of them, shorter
"""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import alone, baseline, ingest, insert, layout, machine, memory, storm

RESULTS = Path(__file__).parent / "results"
BENCHMARKS = {
    "ingest": ingest.measure,
    "insert": insert.measure,
    "baseline": baseline.measure,
    "collector": alone.measure,
    "memory": memory.measure,
    "storm": storm.measure,
    "layout": layout.measure,
}

SHOWN = {
    "durable_per_s", "queryable_per_s", "requests_per_s", "ack_p99_ms", "server_peak_mib",
    "cpu_us", "server_cpu_us", "insert_cpu_us", "insert_us", "with_merges_cpu_us",
    "alone_cpu_ms", "rows_merged", "busy", "read_p50_ms",
    "bytes_per_span", "of_1x", "put_off_per_s", "copy_and_merge_s",
    "body_mib", "expected_mib", "taken_mib", "of_expected", *layout.QUESTIONS,
}  # fmt: skip


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measure Lowtide on this machine.")
    parser.add_argument(
        "names", nargs="*", choices=[*BENCHMARKS, []], help="what to measure; all if not given"
    )
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each load is sent")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder for the results")
    asked = parser.parse_args()
    for name in asked.names or BENCHMARKS:
        result = {
            "benchmark": name,
            "command": f"python -m bench {name} --seconds {asked.seconds:g}",
            "measured_on": datetime.now(UTC).date().isoformat(),
            "machine": machine.described(),
            **BENCHMARKS[name](asked.seconds),
        }
        asked.results.mkdir(parents=True, exist_ok=True)
        path = asked.results / f"{name}.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        _show(result)
        print(f"written to {path}")


def _show(result: dict[str, Any]) -> None:
    print(f"\n{result['benchmark']}: {result['what']}; {result['machine']['cores']} cores")
    rows = result["loads"]
    columns = [column for column in next(iter(rows.values())) if column in SHOWN]
    width = max(map(len, rows)) + 2
    print(" " * width + "".join(f"{column:>{len(column) + 3}}" for column in columns))
    for name, row in rows.items():
        print(f"{name:{width}}" + "".join(f"{row[column]:>{len(column) + 3},}" for column in columns))


if __name__ == "__main__":
    main()
