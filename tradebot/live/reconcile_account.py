"""Positions, money and leverage of the book against those of the venue."""

from collections.abc import Sequence
from decimal import Decimal

from tradebot.live.freezer import Freezer, FreezeReason
from tradebot.live.reconcile_disputes import DisputeSettling
from tradebot.live.reconcile_rules import Persistence, money_difference, position_differences
from tradebot.live.sides import COMPARE, Sides
from tradebot.live.stops import StopChecks
from tradebot.model.command import AlertName
from tradebot.model.money import Cash, plain
from tradebot.model.position import ResidualSeen
from tradebot.model.time import from_ms
from tradebot.model.venue import AccountState, LeverageChoice, Purpose
from tradebot.report.views import Mismatch

_LOOKS_A_LEVERAGE = 4
_POSITION_MEND = (
    "entries of it are off until both agree; it ends when the venue tells the fill that explains it, or by "
    "tradebot halt: while halted the book takes over what the venue holds; then tradebot resume"
)
_CASH_MEND = (
    "it ends when the venue tells the deposit, funding or fill that explains it; "
    "[risk] max_residual says from where on entries end"
)


class AccountComparison:
    """Compares the account. ``residual`` is what the venue's cash is more than ours; ``seen`` the account as it was."""

    def __init__(self, sides: Sides, stops: StopChecks) -> None:
        self._sides = sides
        self._venue, self._page = sides.venue, sides.page
        self.residual: Cash | None = None
        self.seen: AccountState | None = None
        self._agreed_ms = sides.venue.survey.now_ms()
        self._positions: Persistence[str] = Persistence(3)
        self._money: Persistence[str] = Persistence(2)
        self._leverage: Persistence[str] = Persistence(2)
        self._freezer = Freezer(sides.line, FreezeReason.MISMATCH)
        self._disputes = DisputeSettling(sides)
        self._stops = stops
        self._looks = 0
        self._differing: dict[str, Mismatch] = {}
        self._cash: tuple[Mismatch, ...] = ()

    @property
    def mismatches(self) -> Sequence[Mismatch]:
        """What differs and was not explained: positions by symbol, then cash."""
        return (*self._differing.values(), *self._cash)

    @property
    def is_open(self) -> bool:
        """Whether something differs of which it is not known yet whether it stays so."""
        return self._positions.is_open or self._money.is_open or self._disputes.is_open

    async def look_at_account(self, purpose: Purpose = Purpose.WATCH) -> None:
        """Compare positions, money and leverage with the book."""
        before = self._sides.held()
        account = await self._venue.survey.account(purpose)
        if self._sides.held() != before:
            return
        cash = await self._venue.survey.cash(account, purpose)
        self.seen = account
        await self._stops.compare_liquidations(account)
        await self._disputes.look(account, purpose)
        await self._look_at_positions(account, purpose)
        await self._look_at_money(cash, purpose)
        self._look_at_leverage(account)
        self._looks += 1
        if self._looks % _LOOKS_A_LEVERAGE == 0:
            await self._look_at_idle_leverage(purpose)

    async def _look_at_positions(self, account: AccountState, purpose: Purpose) -> None:
        found = position_differences(self._sides.held(), account)
        if not found:
            self._agreed_ms = self._venue.survey.now_ms()
        elif not self._positions.is_known(found):
            await self._sides.deliver(await self._venue.catch_up(self._agreed_ms, (), purpose, again=True))
            found = position_differences(self._sides.held(), account)
        due = self._positions.look(found, self._sides.now_s())
        held = self._sides.held()
        # What the last run froze thaws only when it agrees now.
        frozen = self._positions.told | (self._freezer.frozen & found.keys())
        zero = Decimal(0)
        self._differing = {
            symbol: Mismatch(
                symbol=symbol, book=held.get(symbol, zero), venue=account.held.get(symbol, zero), mend=_POSITION_MEND
            )
            for symbol in sorted(frozen)
        }
        for symbol in due:
            one = self._differing[symbol]
            what = f"{symbol}: the venue holds {plain(one.venue)}, the book {plain(one.book)}"
            self._page(AlertName.MISMATCH, what, f"{COMPARE}; {_POSITION_MEND}", symbol, "position")
        await self._disputes.adopt({symbol: found[symbol] for symbol in self._positions.told}, account)
        await self._freezer.hold(frozen & set(self._sides.symbols))

    async def _look_at_money(self, cash: Cash, purpose: Purpose) -> None:
        if self._positions.told:
            # What explains the positions explains the money; until then it is shown as it is.
            self.residual = Cash(cash - self._sides.cash())
        if self._positions.is_open or self._positions.told:
            return
        difference = money_difference(self._sides.cash(), cash)
        if difference is not None and not self._money.is_known({"": difference}):
            deposits = await self._venue.survey.transfers(purpose)
            caught = await self._venue.catch_up(self._agreed_ms, (), purpose, again=True)
            await self._sides.deliver([*deposits, *caught])
            difference = money_difference(self._sides.cash(), cash)
        self.residual = Cash(cash - self._sides.cash())
        due = self._money.look({} if difference is None else {"": difference}, self._sides.now_s())
        if due and difference is not None:
            what = f"the venue's cash is {plain(difference)} more than the book's {plain(self._sides.cash())}"
            self._page(AlertName.MISMATCH, what, f"{COMPARE}; {_CASH_MEND}", about="money")
        cash_row = Mismatch(symbol="", book=self._sides.cash(), venue=cash, mend=_CASH_MEND)
        self._cash = (cash_row,) if self._money.told else ()
        lasting = difference if self._money.told and difference is not None else Cash(Decimal(0))
        await self._sides.deliver([ResidualSeen(ts_event=from_ms(self._venue.survey.now_ms()), amount=lasting)])

    def _look_at_leverage(self, account: AccountState) -> None:
        chosen = {
            position.symbol: LeverageChoice(position.leverage, position.is_cross) for position in account.positions
        }
        wrong = {
            symbol: set_
            for symbol, set_ in chosen.items()
            if symbol in self._sides.symbols and not self._is_as_wanted(symbol, set_)
        }
        for symbol in wrong:
            self._venue.set_leverage_anew(symbol)
        for symbol in self._leverage.look(wrong, self._sides.now_s()):
            mode = "cross" if chosen[symbol].is_cross else "isolated"
            what = f"{symbol} is held with leverage {chosen[symbol].leverage}, {mode}, not as configured"
            self._page(
                AlertName.MISMATCH,
                what,
                "it is set back before the next entry; set it back by hand",
                symbol,
                "leverage",
            )

    async def _look_at_idle_leverage(self, purpose: Purpose) -> None:
        """Look at the leverage of one symbol that is flat, each in its turn: it is set anew before an entry."""
        idle = [symbol for symbol in self._sides.symbols if symbol not in self._sides.held()]
        if idle:
            symbol = idle[self._looks // _LOOKS_A_LEVERAGE % len(idle)]
            if not self._is_as_wanted(symbol, await self._venue.survey.leverage(symbol, purpose)):
                self._venue.set_leverage_anew(symbol)

    def _is_as_wanted(self, symbol: str, chosen: LeverageChoice) -> bool:
        # Of what is not traded nothing is set.
        return self._venue.wanted_leverage(symbol) in (None, chosen)
