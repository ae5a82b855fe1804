"""Every setting of the HTTP API, in one model. `lowtide/settings.py` composes it; the app takes it as an
argument.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


class SqlSettings(BaseModel):
    """The read-only SQL endpoint. The limits hold for each statement and cannot be changed by a client."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(
        default=True,
        description="Whether SQL from outside is answered at all, read only. On, because dashboards and "
        "notebooks are what telemetry is kept for.",
    )
    workers: int = Field(
        default=2,
        ge=1,
        le=64,
        description="Statements that run at the same time, each on a handle of its own. Two, so that a "
        "slow one does not stop a quick one, and memory stays bounded.",
    )
    queue: int = Field(
        default=8,
        ge=0,
        le=1024,
        description="Statements that may wait for a free handle; any more are answered with 429. A "
        "dashboard asks about that many at once.",
    )
    queue_wait_s: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="Seconds a statement waits for a free handle before it is answered with 429. Shorter "
        "than what clients wait for an answer.",
    )
    max_statement_bytes: int = Field(
        default=256 * KIB,
        ge=1024,
        le=16 * MIB,
        description="Bytes of a statement with its parameters; api.max_body_bytes must be larger. 256 KiB is "
        "what a ClickHouse server takes by default, and far above what people and dashboards write.",
    )
    max_execution_s: int = Field(
        default=30,
        ge=1,
        le=3600,
        description="Seconds a statement may run; it also bounds the work for a client that has gone "
        "away. Nobody waits longer for a dashboard.",
    )
    max_memory_bytes: int = Field(
        default=400 * MIB,
        ge=16 * MIB,
        description="Bytes of memory a statement may take, its answer included. Two of them leave room "
        "for ingest on a small machine.",
    )
    max_result_rows: int = Field(
        default=1_000_000,
        ge=1,
        description="Rows of an answer. More than that is an export, and better cut into time ranges.",
    )
    max_result_bytes: int = Field(
        default=64 * MIB,
        ge=1024,
        description="Bytes of an answer in the engine's memory, before it is written in its format.",
    )
    max_answer_bytes: int = Field(
        default=128 * MIB,
        ge=1024,
        description="Bytes of an answer as it is sent, uncompressed. Twice the former, since text is longer.",
    )
    max_rows_to_read: int = Field(
        default=2_000_000_000,
        ge=1,
        description="Rows a statement may read. Several days of spans of a large estate; more is a "
        "mistake in the time range.",
    )
    max_bytes_to_read: int = Field(
        default=64 * GIB,
        ge=1,
        description="Bytes a statement may read, uncompressed. What two cores read in the time that is "
        "given.",
    )
    max_threads: int = Field(
        default=2,
        ge=1,
        le=256,
        description="Threads of a statement. Two, as many as the smallest machine has cores.",
    )
    max_depth: int = Field(
        default=500,
        ge=10,
        le=1000,
        description="Depth to which a statement may nest. Generated ones reach some dozens; the parser is "
        "recursive.",
    )
    max_elements: int = Field(
        default=50_000,
        ge=100,
        description="Parts of a statement after it is parsed, and ten times as many once aliases and "
        "asterisks are written out. The engine's own default, named so that it cannot change.",
    )


class ApiSettings(BaseModel):
    """The HTTP API and the pages it serves."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    port: int = Field(
        default=8686,
        ge=0,
        le=65535,
        description="Port of the API and the web pages; 0 takes any free port. 8686 is not registered to "
        "anyone.",
    )
    docs: bool = Field(
        default=True,
        description="Whether the description of the API is served, at /api/v1/openapi.json. It shows nothing "
        "that the API does not.",
    )
    max_body_bytes: int = Field(
        default=MIB,
        ge=1024,
        description="Largest request in bytes. A megabyte is far above any query a person or a dashboard "
        "writes.",
    )
    max_bill_bytes: int = Field(
        default=GIB,
        ge=1024,
        description="Largest bill in bytes, as it is sent (POST /api/v1/bills). A compressed bill of that "
        "size has millions of rows; it lies in the data directory while it is read.",
    )
    max_snapshot_bytes: int = Field(
        default=GIB,
        ge=1024,
        description="Largest snapshot of a cluster in bytes, as it is sent (POST /api/v1/import/kubernetes). "
        "Written with indents, ten thousand pods take some 150 MB; it is read as it comes and never held.",
    )
    sql: SqlSettings = SqlSettings()
