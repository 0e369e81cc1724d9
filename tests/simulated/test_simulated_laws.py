"""Laws of the simulated venue, on random markets with random orders of every kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.model.instrument import Instrument
from tradebot.model.market import Bar, BarsClosed, Message
from tradebot.model.order import (
    CancelOrder,
    FillReport,
    OrderAccepted,
    OrderCanceled,
    OrderRequest,
    OrderRole,
    OrderSide,
    OrderType,
    SubmitOrders,
)
from tradebot.model.position import FundingPaid
from tradebot.model.time import HOUR, NANOS_PER_S, Nanos, Timeframe
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.funding import FundingRates
from tradebot.venues.simulated.venue import SimulatedVenue

D = Decimal
LENGTH = Timeframe(1_200 * NANOS_PER_S)
START = 400_000 * HOUR
BUY, SELL = OrderSide.BUY, OrderSide.SELL
CASH = D(300)
COSTS = Costs(
    taker_bps=D("4.5"),
    maker_bps=D("1.5"),
    slippage_bps=D(7),
    leverage=50,
    funding_rate=D("0.0001"),
)
SLOW_COSTS = Costs(taker_bps=D("4.5"), slippage_bps=D(7), leverage=50, latency=Nanos(LENGTH // 2))
THIN_COSTS = replace(COSTS, volume_share=D("0.3"))
any_costs = st.sampled_from([COSTS, SLOW_COSTS, THIN_COSTS])


def venue(costs: Costs = COSTS) -> SimulatedVenue:
    instruments = {name: Instrument(symbol=name, tick=D("0.1"), lot=D("0.01")) for name in ("A", "B")}
    return SimulatedVenue(instruments, costs, CASH, {"A": FundingRates([(START + 2 * HOUR, D("-0.0003"))])})


def request(cid: str, symbol: str, side: OrderSide, type_: OrderType, qty: Decimal, **fields: Any) -> OrderRequest:
    values: dict[str, Any] = {"strategy": "s", "signal_id": cid, "role": OrderRole.ENTRY, "ts_event": Nanos(0)} | fields
    return OrderRequest(client_order_id=cid, symbol=symbol, side=side, type=type_, qty=qty, **values)


def bracket(entry: OrderRequest, stop: Decimal | None, target: Decimal | None) -> list[OrderRequest]:
    orders = [entry]
    cid, side = entry.client_order_id, entry.side.opposite
    fields: dict[str, Any] = {"reduce_only": True, "parent_id": cid, "oco_id": cid}
    if stop is not None:
        orders.append(
            request(f"{cid}-stop", entry.symbol, side, OrderType.STOP_MARKET, entry.qty, trigger=stop, **fields)
        )
    if target is not None:
        fields |= {"trigger": target, "price": target}
        orders.append(request(f"{cid}-target", entry.symbol, side, OrderType.TAKE_PROFIT, entry.qty, **fields))
    return orders


@dataclass(frozen=True)
class Step:
    """A bar given by distances in ticks, and what is asked for after its close."""

    symbol: str
    gap: int
    up: int
    down: int
    close: int
    pause: int
    kind: str
    side: OrderSide
    type: OrderType
    qty: int
    near: int
    far: int


steps = st.lists(
    st.builds(
        Step,
        symbol=st.sampled_from("AB"),
        gap=st.integers(-30, 30),
        up=st.integers(0, 40),
        down=st.integers(0, 40),
        close=st.integers(0, 100),
        pause=st.sampled_from([0, 0, 0, 0, 7]),
        kind=st.sampled_from(["none", "entry", "bracket", "exit", "cancel"]),
        side=st.sampled_from([BUY, SELL]),
        type=st.sampled_from(list(OrderType)),
        qty=st.integers(1, 12_000),
        near=st.integers(-40, 40),
        far=st.integers(1, 60),
    ),
    min_size=5,
    max_size=40,
)


def script(plan: Sequence[Step]) -> list[Message]:
    """Return the bars of ``plan`` and the requests after each of them."""
    price = {"A": 1000, "B": 2000}
    now = START
    messages: list[Message] = []
    for n, step in enumerate(plan):
        now += LENGTH * (1 + step.pause)
        open_ = max(100, price[step.symbol] + step.gap)
        high, low = open_ + step.up, open_ - step.down
        close = price[step.symbol] = low + (high - low) * step.close // 100
        values = [D(value) / 10 for value in (open_, high, low, close)]
        o, h, lo, c = values
        bar = Bar(step.symbol, LENGTH, Nanos(now), o, h, lo, c, D(step.qty % 50))  # type: ignore[arg-type]
        messages.append(BarsClosed(step.symbol, Nanos(now), (bar,)))
        if step.kind == "cancel":
            cid = f"{step.symbol}{n - step.far % 4}"
            messages.append(CancelOrder(ts_event=Nanos(now), client_order_id=cid, symbol=step.symbol, reason="asked"))
        elif step.kind != "none":
            orders = tuple(wishes(f"{step.symbol}{n}", step, D(close) / 10))
            messages.append(SubmitOrders(ts_event=Nanos(now), orders=orders))
    return messages


def wishes(cid: str, step: Step, close: Decimal) -> list[OrderRequest]:
    near, far, qty = D(step.near) / 10, D(step.far) / 10, D(step.qty) / 100
    prices = {
        OrderType.MARKET: {},
        OrderType.LIMIT: {"price": close + near},
        OrderType.STOP_MARKET: {"trigger": close + near},
        OrderType.STOP_LIMIT: {"trigger": close + near, "price": close + near + far * (step.qty % 3 - 1)},
        OrderType.TAKE_PROFIT: {"trigger": close + near},
        OrderType.TRAILING_STOP: {"trigger": close + near, "trail": far},
    }[step.type]
    first = request(cid, step.symbol, step.side, step.type, qty, reduce_only=step.kind == "exit", **prices)
    if step.kind != "bracket":
        return [first]
    sign = step.side.sign
    return bracket(first, close - sign * far, close + sign * far)


def run(messages: Sequence[Message], on: SimulatedVenue) -> list[Message]:
    return [report for message in messages for report in on.handle(message)]


@given(steps, any_costs)
def test_equity_is_what_a_naive_ledger_of_the_reports_says(plan: list[Step], costs: Costs) -> None:
    """Cash flows alone, without average cost or realized P&L, give the same equity at every moment."""
    on = venue(costs)
    flow = CASH
    held = {"A": D(0), "B": D(0)}
    mark = {"A": D(0), "B": D(0)}
    for message in script(plan):
        for report in on.handle(message):
            if isinstance(report, FillReport):
                held[report.symbol] += report.side.sign * report.qty
                flow -= report.side.sign * report.qty * report.price + report.fee
            elif isinstance(report, FundingPaid):
                flow += report.amount
        if isinstance(message, BarsClosed):
            mark[message.symbol] = message.bars[-1].close
        assert on.account().equity == flow + sum(held[symbol] * mark[symbol] for symbol in held)
        assert {symbol: on.position(symbol) for symbol in held} == held


@given(steps, any_costs)
def test_no_order_fills_past_its_size_and_no_reduce_only_order_adds(plan: list[Step], costs: Costs) -> None:
    on = venue(costs)
    orders: dict[str, OrderRequest] = {}
    filled: dict[str, Decimal] = {}
    held = {"A": D(0), "B": D(0)}
    for message in script(plan):
        if isinstance(message, SubmitOrders):
            orders |= {order.client_order_id: order for order in message.orders}
        for report in on.handle(message):
            if not isinstance(report, FillReport):
                continue
            before = held[report.symbol]
            held[report.symbol] += report.side.sign * report.qty
            order = None if report.client_order_id is None else orders[report.client_order_id]
            if order is None or order.reduce_only:
                assert abs(held[report.symbol]) == abs(before) - report.qty
            if order is not None:
                cid = order.client_order_id
                filled[cid] = filled.get(cid, D(0)) + report.qty
                assert filled[cid] <= order.qty
                parent = order.parent_id
                assert parent is None or filled[cid] <= filled[parent]


@given(steps)
def test_no_more_of_a_bar_is_taken_than_our_share_of_its_volume(plan: list[Step]) -> None:
    on = venue(THIN_COSTS)
    for message in script(plan):
        reports = on.handle(message)
        fills = [report for report in reports if isinstance(report, FillReport) and report.client_order_id is not None]
        if isinstance(message, BarsClosed):
            taken = sum(fill.qty for fill in fills)
            assert taken <= message.bars[-1].volume * D("0.3")
            assert all(fill.qty % D("0.01") == 0 for fill in fills)


@given(steps, any_costs)
def test_every_accepted_order_ends_at_most_once_or_still_rests(plan: list[Step], costs: Costs) -> None:
    on = venue(costs)
    messages = script(plan)
    sizes = {order.client_order_id: order.qty for m in messages if isinstance(m, SubmitOrders) for order in m.orders}
    accepted: set[str] = set()
    left = dict(sizes)
    canceled: list[str] = []
    for report in run(messages, on):
        if isinstance(report, OrderAccepted):
            accepted.add(report.client_order_id)
        elif isinstance(report, OrderCanceled):
            canceled.append(report.client_order_id)
        elif isinstance(report, FillReport) and report.client_order_id is not None:
            left[report.client_order_id] -= report.qty
    filled = {cid for cid in accepted if left[cid] == 0}
    resting = {state.request.client_order_id for state in on.orders()}
    assert len(canceled) == len(set(canceled))
    assert accepted == filled | set(canceled) | resting
    assert len(accepted) == len(filled) + len(canceled) + len(resting)


@given(steps, st.data(), any_costs)
def test_a_venue_saved_and_loaded_anywhere_goes_on_as_if_nothing_was(
    plan: list[Step], data: st.DataObject, costs: Costs
) -> None:
    messages = script(plan)
    cut = data.draw(st.integers(0, len(messages)))
    whole, before, after = venue(costs), venue(costs), venue(costs)
    expected = run(messages, whole)
    first = run(messages[:cut], before)
    after.load(before.save())
    assert after.save() == before.save()
    assert first + run(messages[cut:], after) == expected
    assert after.save() == whole.save()
    assert after.account() == whole.account()


def _of(symbol: str, messages: Sequence[Message]) -> list[Message]:
    kept: list[Message] = []
    for message in messages:
        if isinstance(message, SubmitOrders):
            if message.orders[0].symbol == symbol:
                kept.append(message)
        elif message.symbol == symbol:  # type: ignore[attr-defined]
            kept.append(message)
    return kept


def _seen(symbol: str, reports: Sequence[Message]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for report in reports:
        if isinstance(report, FillReport):
            if report.symbol == symbol:
                rows.append((report.ts_event, report.client_order_id, report.side, report.qty, report.price))
        elif isinstance(report, OrderCanceled) and report.client_order_id.startswith(symbol):
            rows.append((report.ts_event, report.client_order_id, report.reason))
    return rows


@given(steps)
def test_another_symbol_changes_nothing_while_there_is_margin(plan: list[Step]) -> None:
    small = [Step(**(step.__dict__ | {"qty": 1 + step.qty % 20})) for step in plan]
    messages = script(small)
    both = run(messages, venue())
    for symbol in "AB":
        assert _seen(symbol, both) == _seen(symbol, run(_of(symbol, messages), venue()))


# An independent matcher for what most strategies do: brackets and exits at market, one at a time.

Row = tuple[int, str, Decimal, Decimal]


class Naive:
    """Market entry, stop and target, market exit: written from the rules, sharing nothing with the venue."""

    def __init__(self) -> None:
        self.entry: tuple[str, int, Decimal, Decimal, Decimal] | None = None
        self.open: tuple[str, int, Decimal, Decimal, Decimal] | None = None
        self.exit: str | None = None
        self.rows: list[Row] = []

    def fill(self, ts: int, cid: str, sign: int, qty: Decimal, price: Decimal, *, slips: bool = True) -> None:
        if slips:
            ticks = price * (10_000 + 7 * sign) / 10_000 * 10
            price = ticks.to_integral_value(ROUND_CEILING if sign > 0 else ROUND_FLOOR) / 10
        self.rows.append((ts, cid, sign * qty, price))

    def bar(self, ts: int, o: Decimal, h: Decimal, low: Decimal) -> None:
        if self.open is not None:
            self.exits(ts, o, is_open=True)
        if self.exit is not None:
            if self.open is not None:
                cid, sign, qty, _, _ = self.open
                self.fill(ts, self.exit, -sign, qty, o)
                self.open = None
            self.exit = None
        if self.entry is not None:
            cid, sign, qty, _, _ = self.entry
            self.fill(ts, cid, sign, qty, o)
            self.open, self.entry = self.entry, None
            self.exits(ts, o, is_open=True)
        if self.open is not None:
            worst, best = (low, h) if self.open[1] > 0 else (h, low)
            self.exits(ts, worst, is_open=False)
            if self.open is not None:
                cid, sign, qty, _, target = self.open
                if (best - target) * sign > 0:
                    self.fill(ts, f"{cid}-target", -sign, qty, target, slips=False)
                    self.open = None

    def exits(self, ts: int, price: Decimal, *, is_open: bool) -> None:
        assert self.open is not None
        cid, sign, qty, stop, target = self.open
        if (price - stop) * sign <= 0:
            self.fill(ts, f"{cid}-stop", -sign, qty, price if is_open else stop)
            self.open = None
        elif is_open and (price - target) * sign >= 0:
            self.fill(ts, f"{cid}-target", -sign, qty, price, slips=False)
            self.open = None


@settings(max_examples=200)
@given(steps)
def test_brackets_at_market_fill_as_an_independent_matcher_says(plan: list[Step]) -> None:
    on, naive = venue(), Naive()
    rows: list[Row] = []
    now, price = START, 1000
    for n, step in enumerate(plan):
        now += LENGTH * (1 + step.pause)
        open_ = max(100, price + step.gap)
        high, low = open_ + step.up, open_ - step.down
        price = low + (high - low) * step.close // 100
        o, h, lo, c = (D(value) / 10 for value in (open_, high, low, price))
        bar = Bar("A", LENGTH, Nanos(now), o, h, lo, c, D(0))  # type: ignore[arg-type]
        for report in on.on_bar(bar):
            if isinstance(report, FillReport):
                rows.append((report.ts_event, str(report.client_order_id), report.side.sign * report.qty, report.price))
        naive.bar(now - LENGTH, o, h, lo)
        held = naive.open
        if held is not None and step.kind in ("exit", "bracket"):
            _, sign, qty, _, _ = held
            side = SELL if sign > 0 else BUY
            on.submit([request(f"x{n}", "A", side, OrderType.MARKET, qty, reduce_only=True)], Nanos(now))
            naive.exit = f"x{n}"
        if step.kind == "bracket" or (step.kind == "entry" and held is None):
            sign, far, qty = step.side.sign, D(step.far) / 10, D(step.qty % 20 + 1) / 100
            entry = request(f"e{n}", "A", step.side, OrderType.MARKET, qty)
            stop, target = c - sign * far, c + sign * far * 2
            on.submit(bracket(entry, stop, target), Nanos(now))
            naive.entry = (f"e{n}", sign, qty, stop, target)
    assert rows == naive.rows
