"""A book that sleeps through bars misses nothing: the same reports as one that is woken at each of them."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.builders import bar, instrument
from tradebot.model.market import BarsClosed, Message
from tradebot.model.money import Cash, Qty
from tradebot.model.order import FillReport, OrderRequest, OrderRole, OrderSide, OrderType, SubmitOrders
from tradebot.model.time import Nanos
from tradebot.venues.simulated.costs import Costs
from tradebot.venues.simulated.venue import SimulatedVenue

SYMBOLS = ("BTC", "ETH")
MOVES = st.lists(st.tuples(st.sampled_from(SYMBOLS), st.integers(-6, 6), st.integers(0, 4)), min_size=5, max_size=60)
ENTRIES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(SYMBOLS), st.booleans()), max_size=4)


def venue(maintenance: str = "0.5", max_leverage: int = 10) -> SimulatedVenue:
    instruments = {name: instrument(name, max_leverage=max_leverage) for name in SYMBOLS}
    costs = Costs(leverage=max_leverage, maintenance=Decimal(maintenance))
    return SimulatedVenue(instruments, costs, Cash(Decimal(100)))


def market_order(cid: str, symbol: str, side: OrderSide, qty: str = "5") -> OrderRequest:
    return OrderRequest(
        client_order_id=cid,
        symbol=symbol,
        strategy="s",
        signal_id=cid,
        role=OrderRole.ENTRY,
        side=side,
        type=OrderType.MARKET,
        qty=Qty(Decimal(qty)),
        ts_event=Nanos(0),
    )


def closed(number: int, symbol: str, before: int, now: int, reach: int) -> BarsClosed:
    low, high = min(before, now) - reach, max(before, now) + reach
    one = bar(number, now, symbol=symbol, open_=before, high=high, low=max(1, low))
    return BarsClosed(symbol, one.ts_event, (one,))


@given(MOVES, ENTRIES, st.sampled_from(("0", "0.5", "1")))
def test_sleeping_through_bars_changes_no_liquidation(
    moves: list[tuple[str, int, int]], entries: list[tuple[int, str, bool]], maintenance: str
) -> None:
    sleeper, woken = venue(maintenance), venue(maintenance)
    prices = dict.fromkeys(SYMBOLS, 100)
    for number, (symbol, move, reach) in enumerate(moves):
        messages: list[Message] = [
            SubmitOrders(
                ts_event=Nanos(0),
                orders=(market_order(f"{number}-{i}", name, OrderSide.BUY if is_buy else OrderSide.SELL),),
            )
            for i, (at, name, is_buy) in enumerate(entries)
            if at == number
        ]
        before, prices[symbol] = prices[symbol], max(2, prices[symbol] + move)
        messages.append(closed(number + 1, symbol, before, prices[symbol], reach))
        for message in messages:
            woken.load(woken.save())
            assert list(sleeper.handle(message)) == list(woken.handle(message))
    assert sleeper.save() == woken.save()


def test_where_all_of_the_notional_is_margin_the_price_does_not_matter() -> None:
    market = venue(maintenance="1", max_leverage=1)
    market.handle(closed(1, "BTC", 100, 100, 0))
    market.submit((market_order("a", "BTC", OrderSide.BUY, "1"),), Nanos(0))
    reports = market.handle(closed(2, "BTC", 100, 100, 0))
    assert [type(report) for report in reports] == [FillReport]
    assert list(market.handle(closed(3, "BTC", 100, 3, 0))) == []
