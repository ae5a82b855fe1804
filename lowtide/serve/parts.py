"""The real parts of the server, made from the settings. The lifecycle opens and closes them in its order.

Heavy packages are imported in the step that needs them, and the code the collector compiles is fetched
while the engine starts, so that a cold start stays short. The trap: `GRPC_VERBOSITY` is read when grpc is
first imported, so the command sets it before this imports the collector.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

from ingest.store.errors import StoreUnavailableError
from ingest.store.telemetry import StoreMetrics
from lowtide import units
from lowtide.instance_lock import InstanceLock
from lowtide.serve.lifecycle import Addresses, Phase
from lowtide.serve.listening import live_tokens
from lowtide.serve.own_demo import OwnDemo
from lowtide.serve.scratch import leave_scratch, take_scratch
from lowtide.serve.scrub_key import scrub_key
from lowtide.serve.secure import Secure
from lowtide.serve.use_notes import UseNotes
from lowtide.store_access import spool_directory, target_of

if TYPE_CHECKING:
    from api.pipeline import PipelineState
    from collector.scrape.scraper import Scraper
    from collector.server import OtlpServer
    from ingest.loader.loader import Loader
    from ingest.spool.spool import Spool
    from ingest.store.checkpoints import Checkpoints
    from ingest.store.engine import Engine
    from ingest.store.keeper import DiskKeeper
    from lowtide.serve.ledger_keeper import LedgerKeeper
    from lowtide.serve.listener import ApiListener
    from lowtide.serve.pipeline import PipelineReader
    from lowtide.serve.snapshots import ServerSnapshots
    from lowtide.settings import Settings
    from lowtide.tokens.live import LiveTokens

log = structlog.get_logger(__name__)

T = TypeVar("T")
_DAY_NS = 86_400 * 1_000_000_000


class ServerParts:
    """Everything `lowtide serve` runs. Implements `lowtide.serve.lifecycle.Parts`.

    A part exists from its opening to its closing; asking for one outside that is a fault.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.target = target_of(settings)
        self.registry = CollectorRegistry()
        self.store_metrics = StoreMetrics(self.registry)
        self.phase = Phase.STARTING
        self.pipeline: PipelineReader | None = None
        self.demo = OwnDemo(self.state, lambda: self.phase is Phase.STOPPING, self._keep)
        self._lock: InstanceLock | None = None
        self._tokens: LiveTokens | None = None
        self._secure: Secure | None = None
        self._published: Addresses | None = None
        self._publishing = threading.Lock()
        self._use: UseNotes | None = None
        self._spool: Spool | None = None
        self._engine: Engine | None = None
        self._checkpoints: Checkpoints | None = None
        self._snapshots: ServerSnapshots | None = None
        self._loader: Loader | None = None
        self._keeper: DiskKeeper | None = None
        self._ledger: LedgerKeeper | None = None
        self._collector: OtlpServer | None = None
        self._scraper: Scraper | None = None
        self._api: ApiListener | None = None

    # --- opening, in order ---

    def open_lock(self) -> None:
        """Own the data directory, and keep temporary files in it."""
        lock = InstanceLock.acquire(self.settings.data)
        try:
            self._secure = Secure(self.settings.tls, self.registry)
            self._tokens = live_tokens(self.settings)
            take_scratch(self.settings.data)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        self._use = UseNotes(self._tokens)

    def open_spool(self) -> None:
        """Open the spool, and start fetching what is compiled."""
        from ingest.loader.trust import trusted_since
        from ingest.spool.spool import Spool

        threading.Thread(target=_prepare, name="prepare", daemon=True).start()
        self._spool = Spool.open(
            spool_directory(self.settings), self.settings.spool, registry=self.registry,
            boot_id=lambda: trusted_since(self.target),
        )  # fmt: skip

    def open_engine(self) -> None:
        """Say where the store is, and that its tables are to be brought up to date when it is reached. An
        embedded one is first put back to its last checkpoint.
        """
        from ingest.loader.going_back import open_checkpoints
        from ingest.store.engine import Engine
        from ingest.store.migrate import migrate
        from lowtide.serve.snapshots import ServerSnapshots, forget_snapshot

        forget_snapshot(self.settings.data, self.target)
        self._snapshots = ServerSnapshots(self.settings.data, self)
        self._checkpoints = open_checkpoints(self.spool, self.target, self.store_metrics)
        self._engine = Engine(self.target, lambda session: migrate(session, self.settings.store))

    def migrate(self) -> None:
        """Start the embedded engine, or reach the server, and bring the tables up to date. A server that is
        away is reached when it is back; what is accepted waits for it.
        """
        try:
            self.engine.reach()
        except StoreUnavailableError as error:
            if self.engine.is_embedded:
                raise
            log.warning("The store does not answer; what is accepted waits in the spool", error=str(error))

    def start_loader(self) -> None:
        """Begin to store what waits."""
        from ingest.loader.loader import Loader
        from ingest.store.keeper import DiskKeeper
        from lowtide.basis import basis_of
        from lowtide.serve.ledger_keeper import LedgerKeeper
        from lowtide.serve.pipeline import PipelineReader

        self._loader = Loader(
            self.spool, self.engine, self.settings.loader, registry=self.registry,
            checkpoints=self._checkpoints, store_metrics=self.store_metrics,
        )  # fmt: skip
        self.pipeline = PipelineReader(self.spool, self._loader, self.registry)
        self._loader.start()
        self._keeper = DiskKeeper(
            self.engine,
            self.settings.store.max_disk_share,
            self.spool.oldest_unsafe_batch,
            registry=self.registry,
        )
        self._keeper.start()
        self._ledger = LedgerKeeper(
            self.engine, self._loader, cache(lambda: basis_of(self.settings)),
            registry=self.registry, interval_s=self.settings.analytics.ledger_interval_s,
        )  # fmt: skip
        self._ledger.start()

    def bind_api(self) -> None:
        """Make the API and claim its port."""
        from lowtide.serve.listener import ApiListener

        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        api = ApiListener(self._app(), self.settings.listen, self.settings.api.port, _there(self._secure).tls)
        api.bind()
        self._api = api

    async def start_collector(self) -> None:
        """Receive, and fetch."""
        from collector.check.gate import TimeGate
        from collector.check.scrub import Scrubber
        from collector.scrape.scraper import Scraper
        from collector.server import OtlpServer
        from lowtide.serve.doors import otlp_door

        retention = self.settings.store.retention
        # What is accepted must not expire at once, so the shortest retention counts for all.
        days = min(retention.traces_days, retention.metrics_days, retention.logs_days)
        self._collector = OtlpServer(
            self.settings.collector,
            spool=self.spool,
            gate=TimeGate(days * _DAY_NS),
            registry=self.registry,
            door=otlp_door(self.tokens, self.settings.tls),
            tls=_there(self._secure).tls,
            scrubber=Scrubber.of(self.settings.collector.scrub, scrub_key(self.settings)),
        )
        await self._collector.start()
        if self.settings.scrape.jobs:
            self._scraper = Scraper(
                self.settings.scrape, way_in=self._collector.scraped, registry=self.registry
            )
            await self._scraper.start()

    async def start_api(self) -> None:
        """Answer."""
        await _there(self._api).start()

    # --- while it runs ---

    @property
    def spool(self) -> Spool:
        """The open spool."""
        return _there(self._spool)

    @property
    def engine(self) -> Engine:
        """The open engine."""
        return _there(self._engine)

    @property
    def tokens(self) -> LiveTokens:
        """Who may do what."""
        return _there(self._tokens)

    @property
    def loader(self) -> Loader:
        """The running loader."""
        return _there(self._loader)

    def _keep(self) -> None:
        self.loader.keep()

    @property
    def snapshots(self) -> ServerSnapshots:
        """Holds the data directory for a backup."""
        return _there(self._snapshots)

    def addresses(self) -> Addresses:
        """Where everything listens."""
        collector = _there(self._collector)
        return Addresses(
            api=_there(self._api).url, otlp_http=collector.http_url, otlp_grpc=collector.grpc_url
        )

    def publish(self, addresses: Addresses) -> None:
        """Tell other commands, and tell them again when there is a new certificate."""
        self._published = addresses
        self._publish()
        _there(self._secure).start(self._publish)

    def _publish(self) -> None:
        with self._publishing:
            _there(self._lock).publish(
                _there(self._published).as_record(),
                self.tokens.own_secret,
                _there(self._secure).digests,
            )

    def enter(self, phase: Phase) -> None:
        """Note it for /readyz."""
        self.phase = phase

    def state(self) -> PipelineState:
        """Where telemetry stands. It reads a file, so never on the event loop."""
        return _there(self.pipeline).read()

    def failure(self) -> str:
        """A sentence about a part that cannot recover. The event loop asks, so nothing here may wait."""
        from lowtide.serve.readiness import hopeless

        api = _there(self._api).failed()
        if api:
            return f"The API has ended: {api}."
        return hopeless(self.spool.failed, _there(self._loader).failed())

    # --- closing, in reverse ---

    async def stop_api(self) -> None:
        """Answer nothing more."""
        if self._api is not None:
            await self._api.stop()

    async def stop_collector(self) -> None:
        """Fetch and receive nothing more."""
        if self._scraper is not None:
            await self._scraper.stop()
        if self._collector is not None:
            await self._collector.stop()

    def stop_loader(self, timeout_s: float) -> None:
        """Store what is waiting, and say what is left."""
        if self._ledger is not None:
            self._ledger.close()
        if self._keeper is not None:
            self._keeper.close()
        if _there(self._loader).stop(timeout_s):
            log.info("Everything accepted is stored")
            return
        state = self.state()
        log.warning(
            "Not everything accepted is stored yet; it stays in the spool and is stored at the next start",
            requests=state.requests_waiting,
            size=units.size(state.waiting_bytes),
        )

    def unbind_api(self) -> None:
        """Give the port up."""
        _there(self._api).unbind()

    def close_engine(self) -> None:
        """Close every session."""
        self.engine.close()
        if self._checkpoints is not None:
            self._checkpoints.close()

    def close_spool(self) -> None:
        """Close it."""
        self.spool.close()

    def close_lock(self) -> None:
        """Give the data directory up."""
        leave_scratch()
        _there(self._secure).close()
        _there(self._use).close()
        _there(self._lock).release()

    # --- the API ---

    def _app(self) -> Any:
        """The ASGI application over the running parts."""
        from lowtide.serve.api_app import api_app

        return api_app(self)


def _there(part: T | None) -> T:
    if part is None:
        raise RuntimeError("a part of the server was asked for before it was opened")
    return part


def _prepare() -> None:
    """Import and warm up what is compiled, beside the steps that wait for the engine."""
    from collector.check import check
    from collector.remote_write import translate
    from ingest.store import known_series, plain

    try:
        check.warm_up()
        translate.warm_up()
        plain.warm_up()
        known_series.warm_up()
    except Exception:
        log.debug("Warming up failed", exc_info=True)
