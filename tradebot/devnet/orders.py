"""An order of the exchange and its rows on the wire."""

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum

from tradebot.devnet.coins import Coin
from tradebot.devnet.schema import OrderSpec
from tradebot.devnet.wire import Json, number
from tradebot.model.money import ZERO
from tradebot.model.order import OrderSide


class Status(StrEnum):
    """What ``orderStatus`` says of an order; those after TRIGGERED are final."""

    OPEN = "open"
    TRIGGERED = "triggered"
    FILLED = "filled"
    CANCELED = "canceled"
    REDUCE_ONLY_CANCELED = "reduceOnlyCanceled"
    SIBLING_FILLED_CANCELED = "siblingFilledCanceled"
    SELF_TRADE_CANCELED = "selfTradeCanceled"
    MARGIN_CANCELED = "marginCanceled"
    LIQUIDATED_CANCELED = "liquidatedCanceled"
    DELISTED_CANCELED = "delistedCanceled"
    SCHEDULED_CANCEL = "scheduledCancel"
    TICK_REJECTED = "tickRejected"
    MIN_NOTIONAL_REJECTED = "minTradeNtlRejected"
    MARGIN_REJECTED = "perpMarginRejected"
    REDUCE_ONLY_REJECTED = "reduceOnlyRejected"
    POST_ONLY_REJECTED = "badAloPxRejected"
    IOC_REJECTED = "iocCancelRejected"
    TRIGGER_REJECTED = "badTriggerPxRejected"
    NO_LIQUIDITY_REJECTED = "marketOrderNoLiquidityRejected"
    TOO_MANY_REJECTED = "tooManyOpenOrdersRejected"

    @property
    def is_live(self) -> bool:
        """Whether the exchange still works the order."""
        return self is Status.OPEN or self is Status.TRIGGERED


@dataclass(slots=True, eq=False)
class UserOrder:
    """An order with what is left of it. ``resting_id`` names the part that rests at the simulated venue.

    ``is_waiting``: its parent has not filled yet. ``is_position_wide``: it closes whatever is held when it fires.
    """

    oid: int
    coin: Coin
    spec: OrderSpec
    ts_ms: int
    sz: Decimal
    status: Status = Status.OPEN
    status_ms: int = 0
    parent: "UserOrder | None" = None
    children: list["UserOrder"] = field(default_factory=list)
    is_waiting: bool = False
    is_position_wide: bool = False
    builder: tuple[str, Decimal] | None = None
    resting_id: str | None = None
    parts: int = 0
    filled: Decimal = ZERO
    filled_notional: Decimal = ZERO

    @property
    def side(self) -> OrderSide:
        """Its direction."""
        return OrderSide.BUY if self.spec.is_buy else OrderSide.SELL

    @property
    def is_trigger(self) -> bool:
        """Whether it waits, or has waited, for the mark."""
        return self.spec.trigger_px is not None

    @property
    def awaits_mark(self) -> bool:
        """Whether the mark can wake it now."""
        return self.is_trigger and not self.is_waiting and self.status is Status.OPEN

    @property
    def is_above(self) -> bool:
        """Whether a trigger is reached from below: a take-profit that sells or a stop that buys."""
        return (self.spec.tpsl == "tp") is not self.spec.is_buy

    def is_reached(self, mark: Decimal) -> bool:
        """Return whether ``mark`` wakes the trigger."""
        trigger = self.spec.trigger_px
        return trigger is not None and (mark >= trigger if self.is_above else mark <= trigger)

    def next_part(self) -> str:
        """Return an id for another part of it at the simulated venue."""
        self.parts += 1
        return f"{self.oid}.{self.parts}"

    def basic_row(self) -> Json:
        """Return it as in ``openOrders`` and ``orderUpdates``."""
        row: Json = {
            "coin": self.coin.name,
            "side": "B" if self.spec.is_buy else "A",
            "limitPx": number(self.spec.px),
            "sz": number(self.sz),
            "oid": self.oid,
            "timestamp": self.ts_ms,
            "origSz": number(self.spec.sz),
        }
        if self.spec.cloid is not None:
            row["cloid"] = self.spec.cloid
        if self.spec.reduce_only:
            row["reduceOnly"] = True
        return row

    def full_row(self) -> Json:
        """Return it as in ``frontendOpenOrders``, ``orderStatus`` and ``historicalOrders``."""
        spec = self.spec
        live = [child.full_row() for child in self.children if child.status.is_live and child.is_waiting]
        return {
            "coin": self.coin.name,
            "side": "B" if spec.is_buy else "A",
            "limitPx": number(spec.px),
            "sz": number(self.sz),
            "oid": self.oid,
            "timestamp": self.ts_ms,
            "triggerCondition": self._condition(),
            "isTrigger": self.is_trigger,
            "triggerPx": number(spec.trigger_px or ZERO),
            "children": live,
            "isPositionTpsl": self.is_position_wide,
            "reduceOnly": spec.reduce_only,
            "orderType": self._type(),
            "origSz": number(spec.sz),
            "tif": spec.tif,
            "cloid": spec.cloid,
        }

    def status_row(self) -> Json:
        """Return it with its status, as in ``historicalOrders``."""
        return {"order": self.full_row(), "status": str(self.status), "statusTimestamp": self.status_ms}

    def update_row(self) -> Json:
        """Return it with its status, as in ``orderUpdates``."""
        return {"order": self.basic_row(), "status": str(self.status), "statusTimestamp": self.status_ms}

    def _condition(self) -> str:
        if self.spec.trigger_px is None:
            return "N/A"
        if self.status is Status.TRIGGERED:
            return "Triggered"
        return f"Price {'above' if self.is_above else 'below'} {self.spec.trigger_px.normalize():f}"

    def _type(self) -> str:
        if not self.is_trigger:
            return "Limit"
        return f"{'Take Profit' if self.spec.tpsl == 'tp' else 'Stop'} {'Market' if self.spec.is_market else 'Limit'}"
