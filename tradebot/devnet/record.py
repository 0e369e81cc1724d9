"""The record of an account: its fills, fundings and liquidations as rows, kept and told."""

from dataclasses import dataclass
from decimal import Decimal

from msgspec.structs import replace

from tradebot.devnet.account import CROSS, MAKER_BPS, TAKER_BPS, UserAccount
from tradebot.devnet.chance import digest
from tradebot.devnet.orders import UserOrder
from tradebot.devnet.wire import Json, number
from tradebot.model.money import BPS, ZERO, book_fee
from tradebot.model.order import FillReport, Liquidity, OrderSide
from tradebot.model.position import FundingPaid

SYSTEM_HASH = "0x" + "0" * 64
_TENTH_BP = BPS / 10


@dataclass(slots=True)
class Counters:
    """The numbers of the exchange: orders and trades."""

    oid: int = 90_000_000_000
    tid: int = 118_000_000_000_000

    def next_oid(self) -> int:
        """Return a new order id."""
        self.oid += 1
        return self.oid

    def next_tid(self) -> int:
        """Return a new trade id."""
        self.tid += 1
        return self.tid


class PoolRecord:
    """Writes down what the pools report of one account."""

    def __init__(self, account: UserAccount, counters: Counters) -> None:
        self._account = account
        self._counters = counters

    def fill(self, report: FillReport, order: UserOrder, now_ms: int, *, is_maker: bool) -> None:
        """Book and tell a fill of ``order``."""
        row = self._fill_row(self._at_its_rate(report, is_maker=is_maker), order, now_ms)
        row["crossed"] = not is_maker
        self._tell(row)

    def _at_its_rate(self, report: FillReport, *, is_maker: bool) -> FillReport:
        """Return ``report`` with the fee that the account pays; the pools know the usual rates alone."""
        account = self._account
        bps, usual = (account.maker_bps, MAKER_BPS) if is_maker else (account.taker_bps, TAKER_BPS)
        if bps == usual:
            return report
        fee = book_fee(report.qty * report.price * bps * BPS)
        account.transfer(account.pool_key(report.symbol), report.fee - fee)
        return replace(report, fee=fee)

    def liquidation(self, report: FillReport, pool: str, mark: Decimal, now_ms: int) -> None:
        """Book and tell that a position was taken away."""
        value, notional = self._account.equity(pool), report.qty * report.price
        row = self._fill_row(report, None, now_ms)
        side = "Long" if report.side is OrderSide.SELL else "Short"
        row["dir"] = f"Liquidated {'Cross' if pool == CROSS else 'Isolated'} {side}"
        row["liquidation"] = {"liquidatedUser": self._account.user, "markPx": number(mark), "method": "market"}
        self._tell(row)
        event: Json = {
            "lid": self._counters.tid,
            "liquidator": SYSTEM_HASH[:42],
            "liquidated_user": self._account.user,
            "liquidated_ntl_pos": number(notional),
            "liquidated_account_value": number(round(value, 6)),
        }
        self._account.outbox.events.append({"liquidation": event})

    def settlement(self, report: FillReport, now_ms: int) -> None:
        """Book and tell that the exchange closed a position of what it delists."""
        self._tell(self._fill_row(report, None, now_ms) | {"dir": "Settlement"})

    def funding(self, report: FundingPaid, now_ms: int) -> None:
        """Tell that funding was paid or received."""
        coin = report.symbol
        held = self._account.position(coin)
        for index, paid in enumerate(self._account.paid_funding.setdefault(coin, [ZERO, ZERO, ZERO])):
            self._account.paid_funding[coin][index] = paid - report.amount
        flat: Json = {
            "time": now_ms,
            "coin": coin,
            "usdc": number(report.amount),
            "szi": number(held),
            "fundingRate": number(report.rate),
            "nSamples": None,
        }
        self._account.fundings.append(flat)
        self._account.outbox.fundings.append(flat)
        self._account.outbox.events.append({"funding": flat})

    def _fill_row(self, report: FillReport, order: UserOrder | None, now_ms: int) -> Json:
        coin = report.symbol
        holding = self._account.holding(coin)
        start, signed = holding.qty, report.side.sign * report.qty
        profit = holding.trade(signed, report.price)
        if not start or start * holding.qty < 0:
            self._account.paid_funding.setdefault(coin, [ZERO, ZERO, ZERO])[1:] = [ZERO, ZERO]
        fee = report.fee
        row: Json = {
            "coin": coin,
            "px": number(report.price),
            "sz": number(report.qty),
            "side": "B" if report.side is OrderSide.BUY else "A",
            "time": now_ms,
            "startPosition": number(start),
            "dir": direction(start, holding.qty),
            "closedPnl": number(profit),
            "hash": SYSTEM_HASH if order is None else digest("fill", self._account.user, report.trade_id),
            "oid": self._counters.next_oid() if order is None else order.oid,
            "crossed": report.liquidity is Liquidity.TAKER,
            "fee": number(fee),
            "tid": self._counters.next_tid(),
            "feeToken": "USDC",
            "twapId": None,
        }
        if order is not None and order.spec.cloid is not None:
            row["cloid"] = order.spec.cloid
        if order is not None and order.builder is not None:
            extra = round(report.qty * report.price * order.builder[1] * _TENTH_BP, 8)
            self._account.transfer(self._account.pool_key(coin), -extra)
            row |= {"fee": number(fee + extra), "builderFee": number(extra)}
        self._account.volume += report.qty * report.price
        return row

    def _tell(self, row: Json) -> None:
        self._account.fills.append(row)
        self._account.outbox.fills.append(row)
        self._account.outbox.events.append({"fills": [row]})


def direction(start: Decimal, after: Decimal) -> str:
    """Return what a fill did to a position of ``start`` that is ``after`` then.

    >>> direction(Decimal(0), Decimal(1)), direction(Decimal(1), Decimal(-1))
    ('Open Long', 'Long > Short')
    """
    if start * after < 0:
        return "Long > Short" if start > 0 else "Short > Long"
    side = "Long" if (after or start) > 0 else "Short"
    return f"{'Open' if abs(after) > abs(start) else 'Close'} {side}"
