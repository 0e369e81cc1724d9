"""The days on which most coins fell furthest, 2020-08 to 2025-03: from the close before to the low of the UTC day.

Facts about perpetuals of Hyperliquid and, before it opened, the spot prices that its history begins with. Ranked by
the mean over the eight coins.
"""

from collections.abc import Mapping
from decimal import Decimal

_COINS = ("AVAX", "BNB", "BTC", "DOGE", "ETH", "LINK", "SOL", "XRP")


def _day(*per_mille: int) -> Mapping[str, Decimal]:
    return {coin: Decimal(-fall).scaleb(-3) for coin, fall in zip(_COINS, per_mille, strict=True)}


DAYS: Mapping[str, Mapping[str, Decimal]] = {
    "2021-05-19": _day(540, 508, 331, 589, 585, 541, 549, 477),
    "2021-09-07": _day(387, 329, 201, 346, 256, 367, 209, 355),
    "2021-05-23": _day(355, 295, 169, 278, 247, 357, 387, 282),
    "2021-12-04": _day(307, 186, 237, 371, 196, 355, 216, 374),
    "2021-02-23": _day(306, 314, 170, 229, 242, 343, 205, 378),
}
"""By date, then coin: the fraction by which it fell, < 0."""
