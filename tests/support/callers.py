"""Whoever asks the API in a test."""

from __future__ import annotations

from api.access import Caller, Need


class Keeper:
    """Takes everybody for one tenant."""

    def __init__(self, tenant: str, *, sees_all: bool = False) -> None:
        self._tenant = tenant
        self._sees_all = sees_all

    def admit(self, token: str | None, need: Need, certificate: object | None) -> Caller:
        return Caller(self._tenant, sees_all=self._sees_all)
