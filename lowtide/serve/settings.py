"""Settings of the running server as a whole, section `serve`. Composed in `lowtide.settings`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class ServeSettings(BaseModel):
    """How `lowtide serve` watches over its parts, and how it stops."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    flush_s: float = Field(
        default=30.0,
        ge=0,
        le=3600,
        description="Seconds for which a stopping server goes on storing what it has acknowledged. What is "
        "left then stays safely in the spool. 30 s is what Kubernetes grants a pod by default.",
    )
    store_answer_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds the store has to answer a question that means nothing before it counts as out "
        "of reach. 2 s is a fifth of the usual period of readiness probes.",
    )
    watch_interval_s: float = Field(
        default=1.0,
        gt=0,
        le=60,
        description="Seconds between two looks at whether every part still works. A part that has failed for "
        "good ends the process, so that whatever started it can start it anew.",
    )
