"""Bodies that coverage leads to (`support.guided_fuzz`), where atheris is installed: it is not one of the
development packages, since it is made for few systems. `make faults` installs it where it can be had.
"""

from __future__ import annotations

import importlib.util
import json
import os
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from support import faults
from support.power_child import MAKE

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed"),
    pytest.mark.timeout(faults.times(300, 3600)),
]

ROOT = Path(__file__).parents[2]
BODIES = {"json": (2000, 30_000), "protobuf": (2000, 30_000), "gzip": (300, 3000), "snappy": (300, 3000)}
REQUESTS = (ExportTraceServiceRequest, ExportMetricsServiceRequest, ExportLogsServiceRequest)


def seeds(folder: Path, what: str) -> None:
    """Requests in order, to begin with."""
    folder.mkdir()
    for at, (make, kind) in enumerate(zip(MAKE.values(), REQUESTS, strict=True)):
        body = make(1, random.Random(1))
        if what == "json":
            body = json.dumps(
                json_format.MessageToDict(kind.FromString(body), use_integers_for_enums=True)
            ).encode()
        (folder / str(at)).write_bytes(bytes([at]) + body if what in ("json", "protobuf") else body)


@pytest.mark.parametrize("what", BODIES)
def test_whatever_comes_is_read_or_refused(tmp_path: Path, what: str) -> None:
    seeds(tmp_path / "bodies", what)
    count = faults.times(*BODIES[what])
    done: Any = subprocess.run(
        [
            sys.executable, "-m", "support.guided_fuzz", what, f"-runs={count}", f"-seed={faults.SEED}",
            "-max_len=4096", "-rss_limit_mb=4096", f"-artifact_prefix={tmp_path}/", str(tmp_path / "bodies"),
        ],
        env=os.environ | {"PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT), *sys.path))},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ran = re.search(r"Done (\d+) runs", done.stderr)
    assert ran is not None, done.stderr[-3000:]
    assert int(ran[1]) >= count
    faults.done[f"bodies of {what}, led by coverage"] += int(ran[1])
