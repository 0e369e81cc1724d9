"""Trading on Hyperliquid: intents of the line out, reports of the venue in. It is an ``Execution``.

Brackets go as one action (``normalTpsl``): the exits wait at the venue for their entry, and rest there when
this process is gone. A moving stop is the line's to place anew before it cancels the old one; both rest side
by side for a moment, reduce-only. What the socket did not tell is asked for by ``catch_up``.
"""

from collections.abc import Awaitable, Callable, Container, Iterable, Mapping, Sequence
from decimal import Decimal
from itertools import zip_longest

from msgspec.structs import replace

from tradebot.model.errors import ConfigError, InvariantError, NotPermitted, Rejected, Unreadable, VenueError
from tradebot.model.market import Message
from tradebot.model.money import ZERO, Price, Qty
from tradebot.model.near import did_you_mean
from tradebot.model.order import (
    CancelOrder,
    FillReport,
    OrderCanceled,
    OrderRejected,
    OrderRole,
    RefusalClass,
    SubmitOrders,
)
from tradebot.model.time import Nanos, from_ms, to_ms
from tradebot.model.venue import (
    FOREIGN,
    SETTLED,
    ActionAllowance,
    ActionLimit,
    Capabilities,
    FilledNow,
    Intent,
    LeverageChoice,
    Listed,
    MarketContext,
    Meaning,
    Past,
    Phase,
    Purpose,
    Settled,
    Sighting,
    Success,
    VenueOrder,
    Verdict,
)
from tradebot.venues.allowance import LOW, RESERVE, TRICKLE_S
from tradebot.venues.hyperliquid.access import agent_expiry, check_signer
from tradebot.venues.hyperliquid.account import (
    OrderRecord,
    VenueFill,
    fundings,
    order_status,
)
from tradebot.venues.hyperliquid.account_socket import AccountSocket
from tradebot.venues.hyperliquid.cloid import Cloids
from tradebot.venues.hyperliquid.config import TradingRules
from tradebot.venues.hyperliquid.gateway import Gateway, VenueTime
from tradebot.venues.hyperliquid.keys import SigningKey, key_of
from tradebot.venues.hyperliquid.leverage import Leverage
from tradebot.venues.hyperliquid.link import Link
from tradebot.venues.hyperliquid.market import GRACE, asset_contexts
from tradebot.venues.hyperliquid.naming import Names
from tradebot.venues.hyperliquid.reports import OUTCOMES, not_permitted, of_record
from tradebot.venues.hyperliquid.rest import RECENT_S
from tradebot.venues.hyperliquid.seen import Seen
from tradebot.venues.hyperliquid.statuses import is_halt, refusal_of
from tradebot.venues.hyperliquid.stream import Subscription
from tradebot.venues.hyperliquid.survey import HyperliquidSurvey, fills_since
from tradebot.venues.hyperliquid.sweep import HyperliquidSweep
from tradebot.venues.hyperliquid.translate import Filled, Funded, OrdersUpdated
from tradebot.venues.hyperliquid.wire import (
    Asset,
    cancel_by_cloid_action,
    order_action,
    order_wire,
)
from tradebot.venues.outcomes import Endings
from tradebot.venues.submit import Submitter

_OVERLAP_MS = 60_000
_CHANNELS = ("orderUpdates", "userFills", "userFundings")
CAPABILITIES = Capabilities(
    has_client_ids=True,
    takes_bytes_once=True,
    expiry_s=12.0,
    lag_s=5.0,
    has_batch=True,
    # One stop and one target: normalTpsl takes no more.
    bracket_targets=1,
    has_reduce_only=True,
    has_resting_stops=True,
    trigger_by=frozenset({"mark"}),
    has_amend=True,
    has_private_stream=True,
    history_bars=5_000,
    bar_grace=Nanos(GRACE),
    maker_fee_bps=Decimal("1.5"),
    taker_fee_bps=Decimal("4.5"),
    funding_hours=1,
    actions=ActionLimit(RESERVE, LOW, TRICKLE_S),
)
"""What the exchange can do, by its documents. That it refuses a repeated client order id is nowhere promised."""


def check_traded(listed: Mapping[str, Listed], symbols: Iterable[str]) -> None:
    """Return when all ``symbols`` trade. Raises ``ConfigError`` for the first that does not."""
    known = {symbol for symbol, one in listed.items() if not one.is_delisted}
    missing = next((symbol for symbol in symbols if symbol not in known), None)
    if missing is not None:
        mend = f"symbols are case-sensitive, such as BTC, kPEPE; {did_you_mean(missing, known)}"
        raise ConfigError(f"{missing} is not traded at this venue", where="bot.symbols", mend=mend)


class HyperliquidVenue:
    """One account, for which ``signer`` signs. ``open`` first. ``link`` gives sockets, and one budget for all of it."""

    capabilities = CAPABILITIES

    def __init__(self, link: Link, gateway: Gateway, submitter: Submitter, cloids: Cloids, rules: TradingRules) -> None:
        self._link, self._rest = link, link.rest
        self._gateway = gateway
        self._submitter = submitter
        self._cloids = cloids
        self._slippage = rules.slippage
        self._symbols: tuple[str, ...] = ()
        self._seen = Seen()
        self._assets: dict[str, Asset] = {}
        self._marks: dict[str, Price] = {}
        self._endings = Endings()
        self.names = Names(cloids)
        self.leverage = Leverage(gateway, rules.leverage, is_cross=rules.is_cross)
        self.survey = HyperliquidSurvey(gateway, cloids)
        self.sweep = HyperliquidSweep(link.rest, gateway, self.survey, rules.slippage)
        self._filled_until_ms = 0
        # The reply to an order says more of a refusal than the status word that the socket tells of it.
        self._withheld: dict[str, Sequence[Message]] = {}

    @property
    def assets(self) -> Mapping[str, Asset]:
        """The perpetuals, by symbol, as ``refresh`` last saw them."""
        return self._assets

    @property
    def account(self) -> str:
        """The address of the account, whoever signs."""
        return self._gateway.account

    @property
    def time(self) -> VenueTime:
        """The venue's clock."""
        return self._gateway.time

    @property
    def on_forbidden(self) -> Callable[[str], Awaitable[None]]:
        """Hears that the venue lets the key trade no more."""
        return self._gateway.on_shut

    @on_forbidden.setter
    def on_forbidden(self, hears: Callable[[str], Awaitable[None]]) -> None:
        self._gateway.on_shut = hears

    def reopen(self) -> None:
        """Let what is signed leave again: somebody says that the key may trade."""
        self._gateway.reopen()

    def stream(self) -> AccountSocket:
        """Return the socket that tells of the account."""
        wanted: list[Subscription] = [{"type": kind, "user": self.account} for kind in _CHANNELS]
        return AccountSocket(self._link.stream(wanted), self.on_frame)

    def meaning_of(self, words: str) -> Meaning:
        """Return what words of the venue mean."""
        return Meaning(refusal_of(words), is_forbidden=not_permitted(words), is_halt=is_halt(words))

    async def key_expiry(self) -> Nanos | None:
        """Return until when the key may sign; ``None`` for an unnamed agent or the account's own key."""
        return await agent_expiry(self._rest, self.account, self._gateway.signer)

    async def check_key(self, key: str) -> str:
        """Return the address of ``key``, which may trade for the account as the venue says now.

        Raises ``NotPermitted`` when it may not, and ``VenueError``.
        """
        address = _key(key).address
        self._rest.forget()
        await check_signer(self._rest, self.account, address)
        return address

    def use_key(self, key: str) -> None:
        """Sign with ``key`` from now on; no intent of the last one may be without its outcome."""
        if self._submitter.unsettled():
            raise InvariantError("a key is changed while orders of the last one are under way")
        self._gateway.sign_with(_key(key))

    async def learn_time(self) -> None:
        """Ask the venue what time it is. Raises ``ConfigError`` when this machine is hours off."""
        await self._gateway.learn_time()

    def allowance(self) -> ActionAllowance | None:
        """Return the actions that the account may still send, ``None`` before the venue said."""
        counted = self._gateway.allowance
        if counted.left is None or counted.cap is None:
            return None
        return ActionAllowance(counted.left, counted.cap, counted.is_doubted)

    async def learn_allowance(self, purpose: Purpose, *, may_be_recent: bool = False) -> None:
        """Ask the venue how many actions the account may still send, or take its word of a moment ago."""
        await self._gateway.learn_allowance(purpose, RECENT_S if may_be_recent else 0.0)

    async def turn(self) -> None:
        """Return when the next action may be sent: at once, unless all are used up."""
        await self._gateway.allowance.turn()

    def unsettled(self) -> Mapping[int, tuple[Intent, int]]:
        """Return the intents without an outcome, and since when by venue time, by nonce."""
        return self._submitter.unsettled()

    def recall(self, past: Past) -> None:
        """Go on after ``past``: nonces above its last, its orders by their names."""
        for name, oid in past.adopted.items():
            if oid.isdecimal():
                self.names.remember(name, oid)
        self._symbols = past.symbols
        self._cloids.know(past.strategies)
        self._gateway.nonces.seen(past.last_nonce)
        for intent in past.intents:
            self._gateway.recall(intent)
            # A restored journal is another instance than the one that placed these.
            for cloid in filter(self._cloids.is_of_another, intent.cloids):
                owners = (self._cloids.decode(cloid, symbol) for symbol in self._symbols)
                owner = next((owner for owner in owners if owner is not None), None)
                if owner is not None:
                    self.names.adopt(owner.client_order_id, cloid)

    def cloid(self, client_order_id: str) -> str:
        """Return the cloid that an order of ours was or will be placed with."""
        return self.names.cloid(client_order_id)

    def is_of_another(self, cloid: str) -> bool:
        """Return whether another state directory gave ``cloid``, if it is ours at all."""
        return self._cloids.is_of_another(cloid)

    def adopt(self, client_order_id: str, order: VenueOrder) -> None:
        """Call ``order`` of another state directory by the name that the book gave it."""
        self.names.adopt(client_order_id, order.cloid or "")

    def names_of(self, intent: Intent, symbol: str) -> tuple[str, ...]:
        """Return the client order ids of an intent of ours on ``symbol``. Raises ``InvariantError`` for another's."""
        return self.names.of_intent(intent, symbol)

    def symbol_of(self, intent: Intent) -> str | None:
        """Return the symbol of an intent; ``None`` for one of no symbol or strategy that is known."""
        cloid = intent.cloids[0]
        return next((symbol for symbol in self._symbols if self._cloids.decode(cloid, symbol) is not None), None)

    def wanted_leverage(self, symbol: str) -> LeverageChoice | None:
        """Return what ``symbol`` is traded with; ``None`` for what is not traded."""
        asset = self._assets.get(symbol)
        return None if asset is None or asset.is_delisted else self.leverage.wanted(asset)

    def set_leverage_anew(self, symbol: str) -> None:
        """Set the leverage of ``symbol`` again before its next entry: somebody changed it."""
        self.leverage.set_anew(symbol)

    async def cancel_resting(self, order: VenueOrder) -> bool | None:
        """Cancel exactly ``order``; return whether it was there, ``None`` when its symbol is not known here.

        Raises ``Rejected`` when the venue refused the request as a whole.
        """
        asset = self._assets.get(order.symbol)
        return None if asset is None else await self.survey.cancel(asset, order)

    async def open(self) -> None:
        """Learn time, assets and the account's mode; check that the signer may trade for the account.

        Raises ``NotPermitted``, and ``ConfigError`` when this machine's clock is hours off.
        """
        await self._gateway.learn_time()
        self._filled_until_ms = self._gateway.time.ms()
        await self.refresh(RECENT_S)
        await check_signer(self._rest, self.account, self._gateway.signer)
        await self.survey.open()

    async def refresh(self, max_age_s: float = 0.0) -> Sequence[MarketContext]:
        """Read assets and marks anew, or as of ``max_age_s`` ago; return the contexts of those that trade.

        Raises ``VenueError``.
        """
        listed, contexts = asset_contexts(
            await self._rest.info({"type": "metaAndAssetCtxs"}, Purpose.PROTECT, max_age_s)
        )
        for asset in listed:
            before = self._assets.get(asset.symbol, asset)
            if before.id != asset.id:
                # An id is for ever: orders under this one would buy another coin.
                raise Unreadable(f"{asset.symbol} is said to be asset {asset.id}, and was {before.id}")
        self._assets = {asset.symbol: asset for asset in listed}
        known = [context for context in contexts if context is not None]
        self._marks |= {context.symbol: context.mark for context in known}
        return known

    def mark(self, symbol: str, price: Price) -> None:
        """Take note of a newer price: market orders slip from it."""
        self._marks[symbol] = price

    async def submit(self, submit: SubmitOrders) -> Sequence[Message]:
        """Place orders as one action, once, and return what became of each."""
        orders = submit.orders
        symbol = orders[0].symbol
        if self._gateway.shut:
            return _refused(submit, self._gateway.shut, RefusalClass.KEY)
        asset = self._assets.get(symbol)
        if asset is None or symbol not in self._marks:
            return _refused(submit, f"{symbol} has no price at the venue", RefusalClass.NOT_TRADED)
        if asset.is_delisted:
            return _refused(submit, f"{symbol} is delisted", RefusalClass.NOT_TRADED)
        try:
            cloids = tuple(self.names.cloid(order.client_order_id) for order in orders)
            pairs = zip(orders, cloids, strict=True)
            wires = [order_wire(asset, o, cloid, self._marks[symbol], self._slippage) for o, cloid in pairs]
            if orders[0].role is OrderRole.ENTRY:
                self._check_allowance(len(orders))
                await self.leverage.ensure(asset)
        # Nothing has left: what cannot be written is refused here.
        except ValueError as error:
            return _refused(submit, str(error), RefusalClass.OFF_GRID)
        except VenueError as error:
            return [OUTCOMES.unsent(order.client_order_id, error.what, submit.ts_event) for order in orders]
        grouping = "normalTpsl" if len(orders) > 1 and orders[0].role is OrderRole.ENTRY else "na"
        is_urgent = orders[0].role is not OrderRole.ENTRY
        intent = self._gateway.intent(order_action(wires, grouping), cloids, is_urgent=is_urgent)
        self._withheld |= {order.client_order_id: () for order in orders}
        settled = await self._submitter.place(intent)
        names = {cloid: order.client_order_id for cloid, order in zip(cloids, orders, strict=True)}
        sizes = {order.client_order_id: order.qty for order in orders}
        return self._settled(intent, settled, names, sizes)

    def _check_allowance(self, actions: int) -> None:
        """Raise ``Rejected`` when an entry of so many orders would take of what is kept for exits."""
        allowance = self._gateway.allowance
        if not allowance.leaves_reserve(actions):
            raise Rejected(f"not sent: {allowance.left} actions of the address are left, {RESERVE} are kept for exits")

    async def resume(self, intent: Intent, symbol: str) -> Sequence[Message]:
        """Settle an intent that the last run left without an outcome."""
        self._gateway.nonces.seen(intent.nonce)
        return self.outcome(intent, await self._submitter.resume(intent), symbol)

    def outcome(self, intent: Intent, settled: Settled, symbol: str) -> Sequence[Message]:
        """Return what the outcome of an intent of ours on ``symbol`` means."""
        names = dict(zip(intent.cloids, self.names.of_intent(intent, symbol), strict=True))
        return self._settled(intent, settled, names, {})

    def _settled(
        self, intent: Intent, settled: Settled, names: Mapping[str, str], sizes: Mapping[str, Qty]
    ) -> Sequence[Message]:
        ts = from_ms(self._gateway.time.ms())
        messages: list[Message] = []
        for cloid, leg in zip(intent.cloids, settled.legs, strict=True):
            name = names[cloid]
            withheld = self._withheld.pop(name, ())
            told = withheld if isinstance(leg, Sighting) and withheld else OUTCOMES.leg(name, leg, ts, settled.refusal)
            messages += [self._as_of_now(message) for message in told]
            oid = getattr(leg, "oid", None)
            if isinstance(oid, str):
                self.names.know(oid, name)
            if isinstance(leg, FilledNow) and leg.qty < sizes.get(name, ZERO):
                # The rest of a market order is gone without a word.
                gone = OrderCanceled(ts_event=ts, client_order_id=name, reason="ioc_canceled")
                messages += self._endings.ended(leg.oid, leg.qty, gone)
        return messages

    def _as_of_now(self, message: Message) -> Message:
        # What was refused for the key may be proven when another key, or a word of an operator, has mended that.
        is_key = isinstance(message, OrderRejected) and message.refusal is RefusalClass.KEY
        if isinstance(message, OrderRejected) and is_key and not self._gateway.shut:
            reason = f"before the key was permitted again: {message.reason}"
            return replace(message, reason=reason, refusal=RefusalClass.PASSING)
        return message

    async def cancel(self, *cancels: CancelOrder) -> Sequence[Message]:
        """Cancel orders, all in one action. What was not there to cancel is asked for: the venue says what it is.

        Raises ``Rejected`` when the venue refused the action as a whole, another ``VenueError`` without an answer.
        """
        gone = [one for one in cancels if one.symbol not in self._assets]
        if gone:
            # Of what the venue does not know nothing rests there.
            known = [one for one in cancels if one.symbol in self._assets]
            ended = [_unlisted(one, from_ms(self._gateway.time.ms())) for one in gone]
            return [*ended, *(await self.cancel(*known) if known else ())]
        for name in (one.client_order_id for one in cancels):
            if self.names.must_ask(name):
                await self._status(name, Purpose.PROTECT)
        rows = [(self._assets[one.symbol].id, self.names.cloid(one.client_order_id)) for one in cancels]
        reply = await self._gateway.act(cancel_by_cloid_action(rows), len(rows))
        if reply.refusal is not None and reply.refusal.verdict is not Verdict.DUPLICATE:
            raise Rejected(reply.refusal.text)
        ts = from_ms(self._gateway.time.ms())
        messages: list[Message] = []
        for cancel, leg in zip_longest(cancels, () if reply.refusal is not None else reply.legs):
            if isinstance(leg, Success):
                messages.append(
                    OrderCanceled(ts_event=ts, client_order_id=cancel.client_order_id, reason=cancel.reason)
                )
            else:
                messages += await self.status(cancel.client_order_id)
        return messages

    async def status(self, client_order_id: str, purpose: Purpose = Purpose.PROTECT) -> Sequence[Message]:
        """Ask what an order is now; nothing when the venue does not know it there and then."""
        record = await self._status(client_order_id, purpose)
        return () if record is None else self._asked(record)

    def _asked(self, record: OrderRecord) -> Sequence[Message]:
        messages, order = self._record(record), record.order
        name = self.names.of(order)
        if record.phase is not Phase.FILLED or not order.reduce_only or name is None:
            return messages
        # It may have been clamped to the position: then its fills alone never end it.
        return [*messages, OrderCanceled(ts_event=record.ts_event, client_order_id=name, reason="reduce_only")]

    async def _status(self, client_order_id: str, purpose: Purpose) -> OrderRecord | None:
        asked = self.names.to_ask(client_order_id)
        record = order_status(await self._gateway.ask("orderStatus", purpose, oid=asked))
        if isinstance(asked, int) and record is not None and record.order.cloid is not None:
            self.names.adopt(client_order_id, record.order.cloid)
        return record

    def on_frame(self, said: OrdersUpdated | Filled | Funded) -> Sequence[Message]:
        """Return what a frame of the account's channels means; replays of fills are told once."""
        match said:
            case OrdersUpdated(records):
                return [message for record in records for message in self._record(record)]
            case Filled(rows):
                return self._fills(rows)
            case Funded(payments, is_snapshot):
                # A snapshot repeats what the line has booked; catch_up asks for what it has not.
                return () if is_snapshot else payments

    def _record(self, record: OrderRecord) -> Sequence[Message]:
        order, name = record.order, self.names.of(record.order)
        messages = () if name is None else of_record(name, record)
        if record.phase is Phase.REJECTED and name in self._withheld:
            self._withheld[name] = messages
            return ()
        if record.phase is not Phase.CANCELED or name is None or not name.endswith(f"-{OrderRole.ENTRY}"):
            return messages
        # What an exit lacks of its size may have been clamped to the position; of an entry it was filled.
        filled = order.original_qty - order.qty
        ends = [message for message in messages if isinstance(message, OrderCanceled)]
        return [message for end in ends for message in self._endings.ended(order.oid, filled, end)]

    def _fills(self, rows: Iterable[VenueFill], *, again: bool = False) -> Sequence[Message]:
        messages: list[Message] = []
        for fill in sorted(rows, key=lambda row: (row.ts_event, row.trade_id)):
            if self._is_counted(fill.ts_event):
                continue
            is_new = self._seen.is_new(f"{fill.trade_id}-{fill.oid}")
            if not (is_new or again):
                continue
            self._filled_until_ms = max(self._filled_until_ms, to_ms(fill.ts_event))
            messages.append(self._report(fill))
            if is_new:
                messages += self._endings.filled(fill.oid, fill.qty)
        return messages

    def _report(self, fill: VenueFill) -> FillReport:
        foreign = None if fill.liquidated_user == self._gateway.account else f"{FOREIGN}{fill.oid}"
        if fill.is_settlement:
            foreign = f"{SETTLED}{fill.oid}"
        return fill.report(self.names.of(fill) or foreign)

    async def late_fills(self) -> Sequence[FillReport]:
        """Return the fills since a while before the newest that was told, told before or not. Raises ``VenueError``."""
        since_ms = max(0, self._filled_until_ms - _OVERLAP_MS)
        rows = await fills_since(self._gateway, since_ms, Purpose.PROTECT)
        return [self._report(fill) for fill in rows if not self._is_counted(fill.ts_event)]

    async def rival_since(self, since_ms: int, known: Container[str]) -> str:
        """Return what another state directory did on the account after ``since_ms``, by the venue; empty for nothing.

        ``known`` are the venue's ids of orders that are ours by now, whoever placed them.
        """
        resting = [found.order for found in await self.survey.resting(Purpose.PROTECT)]
        filled = await fills_since(self._gateway, since_ms + 1, Purpose.PROTECT)
        told: Sequence[VenueOrder | VenueFill] = (*resting, *filled)
        for one in told:
            owner = None if one.cloid is None else self._cloids.decode(one.cloid, one.symbol)
            is_other = owner is not None and not owner.is_this_instance and one.oid not in known
            if owner is not None and is_other and to_ms(one.ts_event) > since_ms:
                return f"{owner.client_order_id}, venue order {one.oid}"
        return ""

    async def fills_again(self, since_ms: int, purpose: Purpose) -> Sequence[FillReport]:
        """Return the fills since ``since_ms`` as the venue tells them when it is asked, told before or not."""
        return [self._report(fill) for fill in await fills_since(self._gateway, since_ms, purpose)]

    def _is_counted(self, ts: Nanos) -> bool:
        # What moved the account before it was first counted is in that count.
        counted_ms = self.survey.counted_ms
        return counted_ms is not None and to_ms(ts) <= counted_ms

    async def catch_up(
        self,
        since_ms: int,
        open_ids: Iterable[str],
        purpose: Purpose = Purpose.PROTECT,
        *,
        again: bool = False,
    ) -> Sequence[Message]:
        """Return what the socket may not have told: fills since ``since_ms``, funding, and each order's state.

        With ``again`` also the fills that were told before: the book knows which of them are news.
        """
        start = max(0, min(since_ms, self._filled_until_ms) - _OVERLAP_MS)
        # All questions come first: an answer that is missing must not make us forget what others told.
        rows = await fills_since(self._gateway, start, purpose)
        payments = fundings(await self._gateway.ask("userFunding", purpose, startTime=since_ms))
        paid = [payment for payment in payments if not self._is_counted(payment.ts_event)]
        records = await self._gone(open_ids, purpose)
        messages = [*self._fills(rows, again=again), *paid]
        return messages + [message for record in records for message in self._asked(record)]

    async def _gone(self, open_ids: Iterable[str], purpose: Purpose) -> Sequence[OrderRecord]:
        resting = {self.names.of(found.order) for found in await self.survey.resting(purpose)}
        records = [await self._status(name, purpose) for name in open_ids if name not in resting]
        return [record for record in records if record is not None]


def _unlisted(cancel: CancelOrder, ts: Nanos) -> OrderCanceled:
    return OrderCanceled(ts_event=ts, client_order_id=cancel.client_order_id, reason="unlisted")


def _refused(submit: SubmitOrders, words: str, refusal: RefusalClass) -> Sequence[Message]:
    return [OUTCOMES.rejected(order.client_order_id, words, submit.ts_event, refusal) for order in submit.orders]


def _key(text: str) -> SigningKey:
    try:
        return key_of(text)
    except ValueError:
        raise NotPermitted("the new key is not 64 hex digits", mend="give the key of an agent of the account") from None
