"""What the core asks of the world, as protocols. ``runtime.wiring`` decides who answers."""

from collections.abc import Awaitable, Callable, Container, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from tradebot.model.command import AlertName
from tradebot.model.finding import Finding
from tradebot.model.market import Bar, Message
from tradebot.model.money import Cash, Price
from tradebot.model.order import CancelOrder, FillReport, SubmitOrders
from tradebot.model.position import Deposit
from tradebot.model.time import Nanos, Timeframe
from tradebot.model.venue import (
    AccountEvent,
    AccountState,
    ActionAllowance,
    Capabilities,
    Intent,
    LeverageChoice,
    Listed,
    MarketEvent,
    Meaning,
    Past,
    Priced,
    Purpose,
    Remains,
    RestingOrder,
    Settled,
    VenueOrder,
)


class Clock(Protocol):
    """Wall and monotonic time; nothing else in the program reads a clock."""

    def now(self) -> Nanos:
        """Return UTC epoch nanoseconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class Sent(NamedTuple):
    """A request that left for a venue: when, in monotonic seconds of this machine, and what it weighs.

    A weight below 0 is given back. ``is_own``: it was sent by a process of this user.
    """

    at_s: float
    weight: int
    purpose: str
    is_own: bool = True


class SentLog(Protocol):
    """What left for a venue lately. It raises nothing: a log that cannot be kept knows less."""

    def update(self, now_s: float, decide: Callable[[Sequence[Sent]], Sequence[Sent]]) -> None:
        """Let ``decide`` see what counts at ``now_s``, and add what it returns, before anybody else may."""
        ...


class Stateful(Protocol):
    """Something whose whole future follows from ``save()``: ``load(save())`` changes nothing.

    The state is a frozen dataclass of the ``STATE`` class; the codec writes and reads it by its types.
    """

    STATE: type[Any]

    def save(self) -> Any:
        """Return the state as a ``STATE``."""
        ...

    def load(self, state: Any) -> None:
        """Become what ``save`` saw."""
        ...


class Stage(Stateful, Protocol):
    """One step of the line: pure, synchronous, the only writer of its state."""

    def handle(self, message: Message) -> Sequence[Message]:
        """Return what follows from ``message``, in order. Never a lazy iterator."""
        ...


class MarketData(Stateful, Protocol):
    """A deterministic source of market messages, in the order of turns, that can be resumed.

    ``next`` raises ``StopIteration`` at the end of the data. ``describe`` identifies the source: a
    resumed run is refused when it changed.
    """

    def __iter__(self) -> Iterator[Message]: ...

    def __next__(self) -> Message: ...

    def describe(self) -> str:
        """Return a stable text of what the data is, such as the digest of each file."""
        ...


class Journal(Protocol):
    """The append-only truth. Rows are ordered by ``seq``, which starts at 1 and has no holes."""

    @property
    def last_seq(self) -> int:
        """The newest ``seq`` given out, durable or not; 0 when empty."""
        ...

    def append(self, kind: str, ts_event: Nanos, payload: bytes) -> int:
        """Queue a row and return its ``seq``. Raises ``StorageFailed`` once the journal has failed."""
        ...

    async def committed(self, seq: int) -> None:
        """Return when row ``seq`` and all before it are durable. Raises ``StorageFailed``."""
        ...


class Notes(Protocol):
    """Small texts that a state directory keeps, by their names."""

    async def meta(self, key: str) -> str | None:
        """Return what was kept under ``key``."""
        ...

    async def set_meta(self, key: str, value: str) -> None:
        """Keep ``value`` under ``key``."""
        ...


class Page(Protocol):
    """How a task pages a human."""

    def __call__(self, name: AlertName, what: str, mend: str = "", symbol: str = "", about: str = "") -> None:
        """Raise an alert. Returns at once."""
        ...


# A real venue ------------------------------------------------------------------------------------------------
#
# Whatever asks raises ``VenueError`` when there is no answer to go by. ``purpose`` says what a question is for:
# where requests are limited, the more urgent go first.


class FeedState(StrEnum):
    """What a feed does."""

    WAITING = "waiting"
    STREAMING = "streaming"
    FINISHED = "finished"


class MarketStream(Protocol):
    """What a market tells without being asked. Ask ``next`` for ever; it reconnects by itself."""

    @property
    def is_up(self) -> bool:
        """Whether all that is wanted is told."""
        ...

    async def next(self) -> MarketEvent:
        """Return what happens next; waits as long as it takes."""
        ...

    async def want(self, symbols: Mapping[str, Timeframe]) -> None:
        """Be told of exactly ``symbols`` from here on: bars of their timeframes, marks, quotes as at first."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class Market(Protocol):
    """The market of a venue, whoever trades there."""

    @property
    def capabilities(self) -> Capabilities:
        """What the venue can do."""
        ...

    @property
    def listed(self) -> Mapping[str, Listed]:
        """What the venue lists, by symbol, as ``refresh`` last saw it; not all of it is traded."""
        ...

    async def refresh(self) -> None:
        """Read anew what is listed."""
        ...

    def now_ms(self) -> int:
        """Return venue time in epoch milliseconds."""
        ...

    async def market_time(self, symbol: str, purpose: Purpose) -> Nanos:
        """Return when something last happened in ``symbol``: a market may run apart from the venue's clock."""
        ...

    async def bars(
        self, symbol: str, timeframe: Timeframe, span: tuple[Nanos, Nanos], purpose: Purpose
    ) -> Sequence[Bar]:
        """Return the closed bars that open from ``span[0]`` on, up to market time ``span[1]``, oldest first.

        Those that the venue keeps no more are left out without a word.
        """
        ...

    def stream(self, symbols: Mapping[str, Timeframe], *, has_quotes: bool = False) -> MarketStream:
        """Return a stream of ``symbols``, not yet connected; ``has_quotes``: with the best prices of all of them."""
        ...

    def budget_left(self) -> int:
        """Return the weight of requests that may still be sent this minute."""
        ...


class AccountStream(Protocol):
    """What is told of an account without being asked. Ask ``next`` for ever; it reconnects by itself."""

    @property
    def is_up(self) -> bool:
        """Whether all of it is told."""
        ...

    async def next(self) -> AccountEvent:
        """Return what happens next; waits as long as it takes."""
        ...

    async def close(self) -> None:
        """Hang up."""
        ...


class Survey(Protocol):
    """Looks at an account, for comparison with what we believe."""

    def now_ms(self) -> int:
        """Return venue time in epoch milliseconds."""
        ...

    async def resting(self, purpose: Purpose) -> Sequence[RestingOrder]:
        """Return all that rests, with whose it is."""
        ...

    async def account(self, purpose: Purpose) -> AccountState:
        """Return money and positions."""
        ...

    async def cash(self, account: AccountState, purpose: Purpose) -> Cash:
        """Return the money of ``account`` without the open P&L of its positions."""
        ...

    async def transfers(self, purpose: Purpose) -> Sequence[Deposit]:
        """Return what came to the account from outside, or left it, since it was counted; oldest first."""
        ...

    async def leverage(self, symbol: str, purpose: Purpose) -> LeverageChoice:
        """Return what is set for ``symbol``, with or without a position."""
        ...

    def counted(self, ms: int) -> None:
        """Take note that the money was counted at venue time ``ms``: what moved it before is in that count."""
        ...


class Sweep(Protocol):
    """Ends what an account has, by the venue's word alone: whoever placed it, in whatever symbol.

    All of it is safe to repeat.
    """

    def now_ms(self) -> int:
        """Return venue time in epoch milliseconds."""
        ...

    async def look(self) -> Remains:
        """Ask what there is. Orders first: one that fills meanwhile is seen as a position, not missed."""
        ...

    async def cancel(self, orders: Sequence[RestingOrder]) -> Mapping[str, str]:
        """Cancel ``orders``; return why, by ``oid``, for those that the venue would not. One gone is among them."""
        ...

    async def close(self, positions: Mapping[str, Decimal]) -> Mapping[str, str]:
        """Close ``positions`` at the market, all at once; return by symbol why one was not."""
        ...


class Execution(Protocol):
    """One account at a venue: intents of the line out, its word on them in.

    What is sent exists at most once, whatever is lost, late, doubled or killed; ``Capabilities.once`` says how. All
    messages may be said again: the line folds them.
    """

    on_forbidden: Callable[[str], Awaitable[None]]
    """Hears that the venue lets us trade no more; nothing leaves until ``reopen``."""

    @property
    def capabilities(self) -> Capabilities:
        """What the venue can do."""
        ...

    @property
    def account(self) -> str:
        """The venue's name of the account."""
        ...

    @property
    def survey(self) -> Survey:
        """Looks at the account."""
        ...

    @property
    def sweep(self) -> Sweep:
        """Ends what the account has."""
        ...

    def stream(self) -> AccountStream:
        """Return the stream that tells of the account, not yet connected."""
        ...

    # The key.

    async def check_key(self, key: str) -> str:
        """Return the public name of ``key``, which may trade for the account as the venue says now.

        Raises ``NotPermitted`` when it may not, and ``VenueError`` while that cannot be asked.
        """
        ...

    def use_key(self, key: str) -> None:
        """Sign with ``key`` from now on, and let what is signed leave again.

        Raises ``InvariantError`` while an intent of the last key is ``unsettled``.
        """
        ...

    # Orders.

    async def submit(self, submit: SubmitOrders) -> Sequence[Message]:
        """Place orders as one request, once, and return what became of each."""
        ...

    async def resume(self, intent: Intent, symbol: str) -> Sequence[Message]:
        """Settle an intent that the last run left without an outcome."""
        ...

    def outcome(self, intent: Intent, settled: Settled, symbol: str) -> Sequence[Message]:
        """Return what the outcome of an intent of ours on ``symbol`` means."""
        ...

    async def cancel(self, *cancels: CancelOrder) -> Sequence[Message]:
        """Cancel orders, all in one request where the venue can. What was not there to cancel is asked for.

        Raises ``Rejected`` when the venue refused the request as a whole.
        """
        ...

    async def cancel_resting(self, order: VenueOrder) -> bool | None:
        """Cancel exactly ``order``; return whether it was there, ``None`` when its symbol is not known here."""
        ...

    async def status(self, client_order_id: str, purpose: Purpose = Purpose.PROTECT) -> Sequence[Message]:
        """Ask what an order is now; nothing when the venue does not know it there and then."""
        ...

    async def turn(self) -> None:
        """Return when the next request that protects may leave: at once, unless the account used up its actions."""
        ...

    def unsettled(self) -> Mapping[int, tuple[Intent, int]]:
        """Return the intents without an outcome, and since when by venue time in milliseconds, by nonce."""
        ...

    def mark(self, symbol: str, price: Price) -> None:
        """Take note of a newer price: market orders slip from it."""
        ...

    # What the stream may not have told.

    async def catch_up(
        self, since_ms: int, open_ids: Iterable[str], purpose: Purpose = Purpose.PROTECT, *, again: bool = False
    ) -> Sequence[Message]:
        """Return fills and funding since ``since_ms``, and the state of each order of ``open_ids`` that does not rest.

        With ``again`` also the fills that were told before: the book knows which of them are news.
        """
        ...

    async def late_fills(self) -> Sequence[FillReport]:
        """Return the fills since a while before the newest that was told, told before or not."""
        ...

    async def rival_since(self, since_ms: int, known: Container[str]) -> str:
        """Return what another state directory did on the account after ``since_ms``, by the venue; empty for nothing.

        ``known`` are the venue's ids of orders that are ours by now, whoever placed them.
        """
        ...

    async def fills_again(self, since_ms: int, purpose: Purpose) -> Sequence[FillReport]:
        """Return the fills since ``since_ms`` as the venue tells them when it is asked, told before or not."""
        ...

    # Whose an order is.

    def recall(self, past: Past) -> None:
        """Go on after ``past``: know its orders by their names, and number intents after its last."""
        ...

    def cloid(self, client_order_id: str) -> str:
        """Return the id that an order of ours was or will be placed with."""
        ...

    def is_of_another(self, cloid: str) -> bool:
        """Return whether another state directory gave ``cloid``, if it is ours at all."""
        ...

    def adopt(self, client_order_id: str, order: VenueOrder) -> None:
        """Call ``order`` of another state directory by the name that the book gave it."""
        ...

    def names_of(self, intent: Intent, symbol: str) -> tuple[str, ...]:
        """Return the client order ids of an intent of ours on ``symbol``. Raises ``InvariantError`` for another's."""
        ...

    def symbol_of(self, intent: Intent) -> str | None:
        """Return the symbol of an intent; ``None`` for one that is not of a symbol or strategy that is known."""
        ...

    # Permission, time, leverage.

    def meaning_of(self, words: str) -> Meaning:
        """Return what words of the venue mean."""
        ...

    def reopen(self) -> None:
        """Let what is signed leave again: somebody says that the key may trade."""
        ...

    async def key_expiry(self) -> Nanos | None:
        """Return until when the key may sign; ``None`` for one that does not run out."""
        ...

    def allowance(self) -> ActionAllowance | None:
        """Return the actions that may still be sent; ``None`` before ``learn_allowance`` and without a limit."""
        ...

    async def learn_allowance(self, purpose: Purpose, *, may_be_recent: bool = False) -> None:
        """Ask the venue how many actions may still be sent, or take its word of a moment ago."""
        ...

    async def learn_time(self) -> None:
        """Ask the venue what time it is. Raises ``ConfigError`` when this machine is hours off."""
        ...

    def wanted_leverage(self, symbol: str) -> LeverageChoice | None:
        """Return what ``symbol`` is traded with; ``None`` for what is not traded."""
        ...

    def set_leverage_anew(self, symbol: str) -> None:
        """Set the leverage of ``symbol`` again before its next entry: somebody changed it."""
        ...


class Connection(Protocol):
    """The ways of one daemon to a live market and, unless orders are simulated, to an account."""

    @property
    def market(self) -> Market:
        """The market."""
        ...

    @property
    def execution(self) -> Execution | None:
        """The account."""
        ...

    def checks(self, *, is_fresh: bool, may_be_recent: bool) -> "VenueChecks":
        """Return what is looked at before arming, paid from the budget of this connection."""
        ...

    async def close(self) -> None:
        """Close all connections, and let others have the account."""
        ...


class VenueChecks(Protocol):
    """What can be asked of a venue before it is trusted with orders. It signs and sends nothing.

    What cannot be asked is a finding too.
    """

    @property
    def findings(self) -> Sequence[Finding]:
        """Those so far."""
        ...

    def add(self, finding: Finding) -> None:
        """Take down one more."""
        ...

    @property
    def markets(self) -> Mapping[str, Priced]:
        """The rules and marks of what is traded, by symbol."""
        ...

    @property
    def equity(self) -> Cash | None:
        """What there is to trade with; ``None`` before it is known."""
        ...

    @property
    def where(self) -> str:
        """Where the venue is asked."""
        ...

    async def run(self) -> bool:
        """Look at key, venue, clock, symbols and account; return whether the venue could be asked at all."""
        ...

    async def guarded(self, check: str, work: Callable[[], Awaitable[None]]) -> None:
        """Do ``work``; what it raises is a finding of ``check``."""
        ...

    async def bars(self, symbol: str, timeframe: Timeframe, bars: int) -> Sequence[Bar]:
        """Return about the last ``bars`` closed bars."""
        ...


class KeyAlone(Protocol):
    """An account reached by its key and nothing else: no journal, no configuration, no book."""

    @property
    def sweep(self) -> Sweep:
        """Ends what the account has. ``open`` first."""
        ...

    @property
    def forbidden(self) -> str:
        """Why the venue lets the key do nothing; empty while it may."""
        ...

    @property
    def signer(self) -> str:
        """Whose key it is."""
        ...

    async def whose(self) -> str:
        """Return the account that the key signs for. Raises ``NotPermitted`` for a key that the venue does not know."""
        ...

    async def open(self, account: str) -> None:
        """Learn what acting for ``account`` takes."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
