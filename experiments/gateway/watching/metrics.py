"""Prometheus metrics: the ledger as it is at the moment of the scrape, and counts of requests."""

from collections.abc import Callable, Iterator
from typing import final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from walras.experiments.gateway.deciding.line import Line
from walras.experiments.gateway.watching.log import RequestRecord
from walras.market.queries import OnlineMarket

_DECISION = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 1.0)
_LATENCY = (0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
_TOTALS = {
    "granted": "Tokens granted.",
    "used": "Tokens used.",
    "returned": "Tokens of grants given back to their window.",
    "expired": "Tokens of grants given back after their window.",
    "over": "Tokens used beyond grants.",
}


@final
class Metrics:
    """All metrics of one gateway, in a registry of its own.

    At every scrape, for every tenant: granted + over = used + returned + expired + outstanding.

    Args:
        line: the queue, and its desk.
        lost: lines of the log that could not be written.
    """

    def __init__(self, line: Line, lost: Callable[[], int]) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Ledger(line, lost))
        self._decision = Histogram(
            "walras_decision_seconds", "Time of a decision of the market.", registry=self._registry, buckets=_DECISION
        )
        self._seconds = Histogram(
            "walras_request_seconds", "Time of a request.", ["outcome"], registry=self._registry, buckets=_LATENCY
        )
        self._requests = Counter(
            "walras_requests", "Requests, by what they got.", ["tenant", "outcome", "status"], registry=self._registry
        )
        self._errors = Counter("walras_upstream_errors", "Upstream errors.", ["kind"], registry=self._registry)

    def decided(self, seconds: float) -> None:
        """A decision took so long."""
        self._decision.observe(seconds)

    def upstream_error(self, kind: str) -> None:
        """The upstream failed; kind is a word of ours."""
        self._errors.labels(kind).inc()

    def ended(self, record: RequestRecord) -> None:
        """A request is over."""
        status = f"{record.status // 100}xx" if record.status else "none"
        self._requests.labels(record.tenant, record.outcome, status).inc()
        self._seconds.labels(record.outcome).observe(record.seconds)

    def scrape(self) -> bytes:
        """The text of all of them."""
        return generate_latest(self._registry)


@final
class _Ledger(Collector):
    """Reads the markets in one go, so that a scrape sees one moment."""

    def __init__(self, line: Line, lost: Callable[[], int]) -> None:
        self._line, self._lost = line, lost

    def collect(self) -> Iterator[Metric]:
        """The metrics."""
        markets = self._line.desk.markets
        for total, told in _TOTALS.items():
            counter = CounterMetricFamily(f"walras_{total}_tokens", told, labels=["tenant"])
            for name, market in markets.items():
                counter.add_metric([name], getattr(market, total))
            yield counter
        gauges: dict[str, tuple[str, Callable[[OnlineMarket], float]]] = {
            "outstanding_tokens": ("Tokens of grants that are not settled.", lambda m: m.outstanding),
            "price": ("Price per token; 0 if there is none yet.", lambda m: m.price or 0.0),
        }
        for gauge, (told, value) in gauges.items():
            family = GaugeMetricFamily(f"walras_{gauge}", told, labels=["tenant"])
            for name, market in markets.items():
                family.add_metric([name], value(market))
            yield family
        standing = self._line.desk.standing(self._line.clock())
        left = GaugeMetricFamily("walras_window_left_tokens", "Tokens left of the present window.", labels=["tenant"])
        budget = GaugeMetricFamily("walras_window_budget_tokens", "Tokens of the present window.", labels=["tenant"])
        for name, own in standing.items():
            left.add_metric([name], own.left)
            budget.add_metric([name], own.budget)
        yield left
        yield budget
        unfunded = CounterMetricFamily("walras_unfunded_decisions", "Requests granted nothing when they came.")
        unfunded.add_metric([], self._line.desk.unfunded)
        yield unfunded
        lost = CounterMetricFamily("walras_lost_log_lines", "Lines of the log that could not be written.")
        lost.add_metric([], self._lost())
        yield lost
        yield GaugeMetricFamily("walras_live_requests", "Grants that are not settled.", value=len(self._line.desk))
        yield GaugeMetricFamily("walras_queue_length", "Requests that wait for a window.", value=len(self._line))
