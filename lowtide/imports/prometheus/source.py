"""The Prometheus that is imported from, asked through prometheus-api-client: which series it has, and their
samples as they are.

Samples are asked for with a range selector at an instant (`name[1h]`), which answers them raw; a range query
would make new ones at even steps. The trap: Prometheus 3 leaves the older end of such a range out, Prometheus
2 has it in. So samples outside `(from, to]` are left out here, and pieces one behind the other have each
once. That library knows success and failure only; the session below tells what may pass from what will not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from collector.remote_write.message import Described, Point
from lowtide.imports.prometheus.errors import SourceError
from lowtide.imports.prometheus.patience import Patience
from lowtide.output import printable

ANSWER_TIMEOUT_S: Final = 120.0
MAX_ANSWER_BYTES: Final = 256 * 1024 * 1024
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_STEP_BYTES: Final = 1024 * 1024
_SHOWN_CHARS: Final = 300
_NAME: Final = "__name__"

T = TypeVar("T")
Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Answered:
    """Series with their samples, in order by labels, and how many native histograms were left out."""

    series: list[tuple[Labels, list[Point]]] = field(default_factory=list)
    samples: int = 0
    histograms: int = 0


class Source:
    """One Prometheus. Use it in one thread."""

    def __init__(
        self,
        url: str,
        *,
        rate: float,
        give_up_after_s: float,
        token: str | None = None,
        ca_file: str | None = None,
        sleep: Callable[[float], None] = time.sleep,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        """`rate` is the most questions a second. `tell` gets what is waited for, once each time."""
        self.url = url.rstrip("/")
        session = _Session(rate, give_up_after_s, sleep, tell)
        session.trust_env = False
        session.verify = ca_file or True
        self._client = PrometheusConnect(
            self.url,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            session=session,
            retry=Retry(total=0, redirect=0),
            timeout=ANSWER_TIMEOUT_S,
        )

    def described(self) -> dict[str, Described]:
        """What is known of metrics, by the name of their family. What targets say differently: the first."""
        found: dict[str, Described] = {}
        for entry in _asked(lambda: self._client.get_metric_metadata("")):
            described = Described(entry["type"], entry["help"], entry["unit"])
            found.setdefault(entry["metric_name"], described)
        return found

    def series_by_name(self, selector: str, from_ms: int, to_ms: int) -> dict[str, int]:
        """How many series with samples in `(from, to]` there are of each name."""
        query = f"count by ({_NAME}) (last_over_time({selector}[{to_ms - from_ms}ms]))"

        def read() -> dict[str, int]:
            rows = self._client.custom_query(query, params={"time": _seconds(to_ms)})
            return {row["metric"].get(_NAME, ""): int(float(row["value"][1])) for row in rows}

        return _asked(read)

    def matching(self, selectors: Iterable[str], from_ms: int, to_ms: int) -> set[Labels]:
        """The series that any of the selectors means and that may have samples there."""
        start, end = (datetime.fromtimestamp(at / 1000, UTC) for at in (from_ms, to_ms))
        params = {"match[]": list(selectors)}
        return _asked(lambda: {_labels(one) for one in self._client.get_series(start, end, params=params)})

    def samples(self, names: Iterable[str], from_ms: int, to_ms: int) -> Answered:
        """The samples of all series of these names in `(from, to]`."""
        selector = f'{{{_NAME}=~"{"|".join(names)}"}}'
        query = f"{selector}[{to_ms - from_ms}ms]"
        return _asked(
            lambda: _read_series(
                self._client.custom_query(query, params={"time": _seconds(to_ms)}), from_ms, to_ms
            )
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _read_series(rows: Iterable[Any], from_ms: int, to_ms: int) -> Answered:
    found = Answered()
    for row in rows:
        found.histograms += len(row.get("histograms", ()))
        points = list(_points(row.get("values", ()), from_ms, to_ms))
        if points:
            found.series.append((_labels(row["metric"]), points))
            found.samples += len(points)
    found.series.sort(key=lambda one: one[0])
    return found


def _points(values: Iterable[Any], from_ms: int, to_ms: int) -> Iterable[Point]:
    for time_s, text in values:
        time_ms = round(time_s * 1000)
        if from_ms < time_ms <= to_ms:
            yield Point(time_ms, float(text))


def _labels(labels: Mapping[str, str]) -> Labels:
    return tuple(sorted(labels.items()))


def _seconds(at_ms: int) -> str:
    return f"{at_ms // 1000}.{at_ms % 1000:03d}"


def _asked(ask: Callable[[], T]) -> T:
    """An answer, or SourceError: what the library raises besides is what its answers do not look like."""
    try:
        return ask()
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        # No JSON either, which the library lets through as it comes.
        raise SourceError(
            f"What answers is no Prometheus: {type(error).__name__} in its answer.",
            hint="Give the address that its page has, with any path in front of /api/v1.",
        ) from error
    except (PrometheusApiClientException, requests.RequestException) as error:
        why = printable(str(error))[:_SHOWN_CHARS]
        raise SourceError(f"The Prometheus cannot be asked: {why}.") from error


class _Session(requests.Session):
    """Asks not too often, tries again what may pass, and reads no more than it should."""

    def __init__(
        self,
        rate: float,
        give_up_after_s: float,
        sleep: Callable[[float], None],
        tell: Callable[[str], None] | None,
    ) -> None:
        super().__init__()
        self._every_s = 1 / rate
        self._next_at = 0.0
        self._give_up_after_s = give_up_after_s
        self._sleep, self._tell = sleep, tell

    def request(self, method: Any, url: Any, *args: Any, **kwargs: Any) -> requests.Response:
        """A whole answer with status 200. Raises SourceError."""
        where = _shown(str(url))
        patience = Patience(self._give_up_after_s, sleep=self._sleep, tell=self._tell)
        while True:
            self._keep_pace()
            least_s = 0.0
            try:
                answer = super().request(
                    method, url, *args, **{**kwargs, "allow_redirects": False, "stream": True}
                )
                body = _read(answer)
            except requests.ConnectionError as error:
                why = f"{where} cannot be reached ({_root(error)})"
            except requests.exceptions.ChunkedEncodingError:
                why = f"the answer of {where} broke off"
            except requests.Timeout:
                why = f"{where} gave no answer in time"
            else:
                if answer.status_code == requests.codes.ok:
                    answer._content = body
                    return answer
                why = f"{where} answered {answer.status_code}: {_said(body)}"
                if answer.status_code not in _PASSING:
                    raise _final(answer.status_code, why)
                least_s = _retry_after(answer)
            if not patience.wait(why, least_s):
                raise SourceError(
                    f"The Prometheus gave no answer for {self._give_up_after_s:g} s: {why}.",
                    hint="Start the same import again when it is back; it goes on where it stopped.",
                )

    def _keep_pace(self) -> None:
        now = time.monotonic()
        if now < self._next_at:
            self._sleep(self._next_at - now)
        self._next_at = max(now, self._next_at) + self._every_s


def _final(status: int, why: str) -> SourceError:
    hints = {
        401: "Give a token with --source-token-file.",
        403: "The token may not read there.",
        404: "Give the address that its page has, with any path in front of /api/v1.",
    }
    hint = "Is it an address of a Prometheus, and the selector right?" if status < 500 else None
    # 422: the query loads more samples than that Prometheus allows, among other things.
    return SourceError(
        f"The Prometheus refused: {why}.", hint=hints.get(status, hint), is_too_much=status == 422
    )


def _read(answer: requests.Response) -> bytes:
    """The body. Raises SourceError if it is too large."""
    body = bytearray()
    for piece in answer.iter_content(_STEP_BYTES):
        body += piece
        if len(body) > MAX_ANSWER_BYTES:
            answer.close()
            raise SourceError("An answer of the Prometheus is too large.", is_too_much=True)
    return bytes(body)


def _said(body: bytes) -> str:
    text = " ".join(body[:4096].decode("utf-8", "replace").split())
    return printable(text)[:_SHOWN_CHARS] or "nothing more"


def _shown(url: str) -> str:
    """An address without what may be secret in it."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _root(error: BaseException) -> str:
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return printable(str(error))[:_SHOWN_CHARS] or type(error).__name__


def _retry_after(answer: requests.Response) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), 600.0) if text.isdecimal() else 0.0
