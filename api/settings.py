"""Every setting of the HTTP API, in one model. `lowtide/settings.py` composes it; the app takes it as an
argument.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


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
        description="Whether the interactive description of the API is served. It shows nothing that the API "
        "does not.",
    )
