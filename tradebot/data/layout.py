"""Which column of a foreign table is what: by its name, else by what stands in it. What is unclear is asked."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from itertools import islice

from tradebot.data.names import PRICES, ColumnRole, rank, role_of
from tradebot.data.stamps import DateOrder, Stamps, date_order, is_clock, is_date, is_stamp, unit_name
from tradebot.data.tables import Block, Table, refuse
from tradebot.data.typed import Cells, Millis

# Orders of columns behind the time in files without a header, as exchanges give them.
_ORDERS = {
    "open, high, low, close": (0, 1, 2, 3),
    "open, close, high, low": (0, 2, 3, 1),
    "low, high, open, close": (2, 1, 0, 3),
}
_BY_HAND = "name them: --columns time=A,open=B,high=C,low=D,close=E,volume=F, by header or by number from 1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hints:
    """What somebody said of a foreign file, where that cannot be seen in it."""

    columns: Mapping[ColumnRole, str] = field(default_factory=dict)
    """By role the header of the column, or its number from 1."""
    unit: str | None = None
    dates: DateOrder | None = None
    zone: tzinfo = UTC
    decimal: str | None = None
    separator: str | None = None
    symbol: str = ""
    """Which of several volumes is meant, is told by its coin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What each column is. ``time`` has two columns where day and time of day stand apart."""

    time: tuple[int, ...]
    prices: tuple[int, ...]
    volume: int | None
    stamps: Stamps
    number: Callable[[str], str]
    """Makes the text of a number plain."""
    words: tuple[str, ...]
    """What each was taken for, for people."""


def find_layout(table: Table, block: Block, hints: Hints) -> Layout:
    """Return which column is what, by the header and the rows of ``block``, the first. Raises ``DataError``."""
    return _Finder(table, block, hints).find()


class _Finder:
    def __init__(self, table: Table, block: Block, hints: Hints) -> None:
        self._table, self._columns, self._hints = table, block.columns, hints
        self._names = table.names

    def find(self) -> Layout:
        given = {role: self._place(role, text) for role, text in self._hints.columns.items()}
        time = self._time(given)
        named = self._names is not None or set(PRICES) <= given.keys()
        prices, volume = self._by_name(given) if named else self._by_place(time)
        number, decimal_words = self._number(prices)
        stamps, stamp_words = self._stamps(time)
        words = [f"{' and '.join(map(self._called, time))} as opening time{stamp_words}"]
        words += [f"{self._called(place)} as {role}" for role, place in zip(PRICES, prices, strict=True)]
        words.append("no volume: 0" if volume is None else f"{self._called(volume)} as volume")
        words += [decimal_words] if decimal_words else []
        return Layout(time=time, prices=tuple(prices), volume=volume, stamps=stamps, number=number, words=tuple(words))

    def _place(self, role: ColumnRole, text: str) -> int:
        names = [name.strip() for name in self._names or ()]
        if text.strip() in names:
            return names.index(text.strip())
        if text.strip().isdigit() and 1 <= int(text) <= len(self._columns):
            return int(text) - 1
        has = ", ".join(names) if names else f"{len(self._columns)}, without names"
        return refuse(self._table.where, f"no column {text!r} for {role}", f"it has these columns: {has}")

    def _called(self, place: int) -> str:
        return repr(self._names[place].strip()) if self._names is not None else f"column {place + 1}"

    def _time(self, given: Mapping[ColumnRole, int]) -> tuple[int, ...]:
        if ColumnRole.TIME in given:
            return (given[ColumnRole.TIME], *([given[ColumnRole.CLOCK]] if ColumnRole.CLOCK in given else []))
        # Names alone may deceive, so may values: an index counts rows, "date" may be a text beside the epoch.
        fitting = [place for place, cells in enumerate(self._columns) if self._is_time(place, cells)]
        if self._names is not None:
            named = [place for place in fitting if role_of(self._names[place]) is ColumnRole.TIME]
            unnamed = [place for place in fitting if not self._names[place].strip()]
            fitting = sorted(named, key=lambda place: rank(ColumnRole.TIME, self._names[place])) or unnamed  # type: ignore[index]
        if not fitting:
            refuse(self._table.where, "no column of opening times was found", _BY_HAND)
        # Without names, a column behind the first may be a large volume as well.
        fitting = fitting if self._names is not None else fitting[:1]
        epochs = [place for place in fitting if self._is_epoch(self._columns[place])]
        first = (epochs or fitting)[0]
        if is_date(self._first(first)):
            clocks = [place for place, cells in enumerate(self._columns) if self._is_clock(place, cells)]
            if len(clocks) == 1:
                return first, clocks[0]
        return (first,)

    def _is_time(self, place: int, cells: Cells) -> bool:
        if isinstance(cells, Millis):
            return True
        if not isinstance(cells, Sequence) or isinstance(cells[0], float):
            return False
        is_named = self._names is not None and role_of(self._names[place]) is ColumnRole.TIME
        return is_stamp(str(cells[0])) or (is_named and self._hints.unit is not None)

    def _is_epoch(self, cells: Cells) -> bool:
        return isinstance(cells, Millis) or unit_name(str(cells[0]), self._hints.unit) != ""

    def _is_clock(self, place: int, cells: Cells) -> bool:
        return not isinstance(cells, Millis) and isinstance(cells[0], str) and is_clock(cells[0])

    def _first(self, place: int) -> str:
        return str(self._columns[place][0])

    def _by_name(self, given: Mapping[ColumnRole, int]) -> tuple[list[int], int | None]:
        prices, missing = [], []
        for role in PRICES:
            places = self._named(role) if role not in given else [given[role]]
            if not places:
                missing.append(str(role))
            prices += places[:1]
        if missing:
            has = ", ".join(name.strip() or "(no name)" for name in self._names or ())
            refuse(self._table.where, f"no column for {', '.join(missing)} among {has}", _BY_HAND)
        return prices, given[ColumnRole.VOLUME] if ColumnRole.VOLUME in given else self._volume()

    def _named(self, role: ColumnRole) -> list[int]:
        names = self._names or ()
        places = [place for place, name in enumerate(names) if role_of(name) is role]
        return sorted(places, key=lambda place: rank(role, names[place]))

    def _volume(self) -> int | None:
        places = self._named(ColumnRole.VOLUME)
        names = self._names or ()
        # Brokers of currencies count ticks, and have a column of zeros for what was traded.
        moving = [place for place in places if any(map(_float, self._columns[place]))]
        places = moving or places[:1]
        if len(places) > 1 and rank(ColumnRole.VOLUME, names[places[0]]) == rank(ColumnRole.VOLUME, names[places[1]]):
            coin = self._hints.symbol.lower()
            own = [place for place in places if len(_coin(names[place])) > 1 and coin.startswith(_coin(names[place]))]
            if len(own) != 1:
                choices = ", ".join(repr(names[place].strip()) for place in places)
                refuse(self._table.where, f"several volumes: {choices}", "say which: --columns volume=NAME")
            return own[0]
        return places[0] if places else None

    def _by_place(self, time: tuple[int, ...]) -> tuple[list[int], int | None]:
        begin = max(time) + 1
        rest = list(range(begin, len(self._columns)))
        if len(rest) < 4 or min(time) != 0:
            refuse(self._table.where, f"{len(self._columns)} columns without a header", _BY_HAND)
        if len(rest) == 7 and not self._is_kline(rest):
            # Time, prices, their weighted mean, volume, count of trades.
            if not self._lies_between(rest[4], rest):
                refuse(self._table.where, "8 columns without a header: which is the volume?", _BY_HAND)
            rest.pop(4)
        for name, places in _ORDERS.items():
            prices = [rest[place] for place in places]
            if self._are_bars(prices):
                if name != "open, high, low, close":
                    self._table.notes.append(f"the columns stand as {name}: no other order makes bars of them")
                return prices, rest[4] if len(rest) > 4 else None
        return refuse(self._table.where, "no order of the columns makes bars of them", _BY_HAND)

    def _is_kline(self, rest: Sequence[int]) -> bool:
        return len(rest) >= 6 and self._is_epoch(self._columns[rest[5]])

    def _lies_between(self, place: int, rest: Sequence[int]) -> bool:
        low, high = rest[2], rest[1]
        found = [(row[low], row[place], row[high]) for row in self._numbers(200)]
        return all(bottom <= mean <= top or mean == 0 for bottom, mean, top in found) and any(m for _, m, _ in found)

    def _are_bars(self, prices: Sequence[int]) -> bool:
        rows = [[row[place] for place in prices] for row in self._numbers(2000)]
        good = sum(low <= min(open_, close) and max(open_, close) <= high for open_, high, low, close in rows)
        return bool(rows) and good >= 0.95 * len(rows)

    def _numbers(self, most: int) -> Iterator[list[float]]:
        for row in islice(zip(*self._columns, strict=True), most):
            yield list(map(_float, row))

    def _number(self, prices: Sequence[int]) -> tuple[Callable[[str], str], str]:
        texts = [cell.strip() for place in prices for cell in self._columns[place] if isinstance(cell, str)]
        commas = [text for text in texts if "," in text]
        decimal = self._hints.decimal
        if decimal is None and not commas:
            return str.strip, ""
        if decimal is None:
            points = [text for text in texts if "." in text]
            mixed = [text for text in commas if "." in text]
            if mixed:
                decimal = "." if mixed[0].rfind(".") > mixed[0].rfind(",") else ","
            elif points or any(text.count(",") > 1 for text in commas):
                decimal = "."
            elif any(len(text.rpartition(",")[2]) != 3 for text in commas):
                decimal = ","
            else:
                refuse(
                    self._table.where, f"is {commas[0]} a thousand, or a fraction?", "say --decimal , or --decimal ."
                )
        if decimal == ",":
            return lambda text: text.strip().replace(".", "").replace(",", "."), "decimal commas"
        return lambda text: text.strip().replace(",", ""), "commas between thousands" if commas else ""

    def _stamps(self, time: tuple[int, ...]) -> tuple[Stamps, str]:
        hints, cells = self._hints, self._columns[time[0]]
        if isinstance(cells, Millis):
            return Stamps(), ""
        texts = [str(cell) for cell in cells]
        unit = unit_name(texts[0], hints.unit)
        if unit:
            return Stamps(unit=hints.unit), f" in {unit}"
        order = hints.dates or date_order(texts)
        if order is None:
            refuse(
                self._table.where,
                f"is {texts[0].strip()} a month first, or a day?",
                "say --dates dmy or --dates mdy",
            )
        zone = "UTC" if hints.zone is UTC else str(hints.zone)
        written = {"ymd": "", "dmy": ", day first", "mdy": ", month first"}[order]
        return Stamps(order=order, zone=hints.zone), f"{written}, {zone} where none stands there"


def _float(cell: object) -> float:
    """Return about what a cell says, 0 where that is no number."""
    try:
        return float(str(cell).replace(",", "."))
    except ValueError:
        return 0.0


def _coin(name: str) -> str:
    return "".join(char for char in name.lower().replace("volume", "").replace("<", "") if char.isalnum())
