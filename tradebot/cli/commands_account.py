"""``account``: what the owner has at the exchange, in which pocket, and money moved from one to another."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING

from tradebot.cli.context import Context
from tradebot.cli.owner import account_of, consent, master_key, need_packages, own_address, owner_place
from tradebot.model.errors import UsageError
from tradebot.model.money import plain
from tradebot.model.time import to_ms
from tradebot.report.shapes import Json, rows, section
from tradebot.report.table import listing, moment

if TYPE_CHECKING:
    from tradebot.model.venue import AccountState
    from tradebot.venues.hyperliquid.owner import OwnedAccount, SpotBalance

_MOST_DECIMALS = 6


def show(context: Context) -> int:
    """Show an account as its owner sees it."""
    need_packages("account show")
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.ownership import OwnerSession

    place = owner_place(context, "account show")
    with OwnerSession(place.network, place.url, SystemClock()) as session:
        own = own_address(context, place)
        account = session.account(account_of(context, session, place))
    document = {"network": place.network, "url": place.url, **_document(account, own)}
    if context.is_json:
        context.write_json(document)
    else:
        context.write(_page(context, document))
    return 0


def transfer(context: Context) -> int:
    """Move USDC from one pocket of the account to another."""
    need_packages("account transfer")
    from tradebot.runtime.clock import SystemClock
    from tradebot.runtime.ownership import OwnerSession

    place, amount = owner_place(context, "account transfer"), _amount(context.given.text("amount") or "")
    source, target = context.given.text("from"), context.given.text("to")
    if source is None or target is None:
        raise UsageError("where from and where to is not said", mend="give --from and --to: perp, spot, or a name")
    with OwnerSession(place.network, place.url, SystemClock(), master_key(context)) as session:
        address = session.master(place.account)
        move = session.move(session.holdings(address), source, target, amount)
        what = f"{plain(amount)} USDC from {move.source} to {move.target}, of {address} at {place.network}"
        consent(context, f"move {what}")
        session.carry_out(move)
        after = session.holdings(address)
    if context.is_json:
        told: dict[str, Json] = {"account": address, "network": place.network, "amount": plain(amount)}
        told |= {"from": move.source.address or move.source.kind, "to": move.target.address or move.target.kind}
        context.write_json(told | {"perp": _perp(after.state), "spot": _spot(after.spot)})
    else:
        context.write(f"moved {what}")
        context.write(f"now: {plain(after.state.equity)} in perp, {plain(after.free_spot)} free in spot")
    return 0


def _amount(text: str) -> Decimal:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal(0)
    if not (amount.is_finite() and 0 < amount < Decimal("1e15")):
        raise UsageError(f"{text[:80]!r} is not an amount above 0")
    if amount != round(amount, _MOST_DECIMALS):
        raise UsageError(f"{text[:80]} has more than {_MOST_DECIMALS} decimals: USDC has no more", mend="round it")
    return amount


def _document(account: "OwnedAccount", own: str | None) -> dict[str, Json]:
    held = account.holdings
    return {
        "account": held.address,
        "role": account.role.kind.value,
        "master": account.role.master,
        "mode": held.mode,
        "perp": _perp(held.state),
        "spot": _spot(held.spot),
        "positions": _positions(held.state),
        "sub_accounts": [
            {
                "name": sub.name,
                "address": sub.address,
                "perp": _perp(sub.state),
                "spot": _spot(sub.spot),
                "positions": _positions(sub.state),
            }
            for sub in held.sub_accounts
        ],
        "vaults": [
            {
                "name": vault.name,
                "address": vault.address,
                "equity": plain(vault.equity),
                "locked_until": None if vault.locked_until is None else to_ms(vault.locked_until),
                "leader": vault.leader,
                "is_leader": vault.leader == held.address,
            }
            for vault in held.vaults
        ],
        "agents": [
            {
                "name": agent.name,
                "address": agent.address,
                "valid_until": to_ms(agent.valid_until),
                "is_ours": agent.address == own,
            }
            for agent in account.agents
        ],
        "fees": {
            "taker": plain(account.fees.taker),
            "maker": plain(account.fees.maker),
            "volume": plain(account.fees.volume),
        },
        "requests": {
            "used": account.requests.used,
            "cap": account.requests.cap,
            "left": account.requests.cap - account.requests.used,
        },
    }


def _perp(state: "AccountState") -> dict[str, Json]:
    keys = ("equity", "withdrawable", "margin_used")
    return {key: plain(getattr(state, key)) for key in keys}


def _spot(balances: "Sequence[SpotBalance]") -> list[Json]:
    return [{"coin": one.coin, "total": plain(one.total), "hold": plain(one.hold)} for one in balances]


def _positions(state: "AccountState") -> list[Json]:
    return [
        {
            "symbol": one.symbol,
            "qty": plain(one.qty),
            "entry_price": plain(one.entry_price),
            "unrealized_pnl": plain(one.unrealized_pnl),
            "margin_used": plain(one.margin_used),
            "leverage": one.leverage,
            "margin": "cross" if one.is_cross else "isolated",
            "liquidation_price": None if one.liquidation_price is None else plain(one.liquidation_price),
        }
        for one in state.positions
    ]


def _page(context: Context, document: dict[str, Json]) -> str:
    lines = [f"{document['account']} at {document['network']} ({document['role']}, account mode {document['mode']})"]
    perp, fees, requests = (section(document, key) for key in ("perp", "fees", "requests"))
    lines.append(f"perp: {perp['equity']} USDC, {perp['withdrawable']} free, {perp['margin_used']} margin")
    lines.append(f"fees: taker {fees['taker']}, maker {fees['maker']} of the notional; traded {fees['volume']} USDC")
    lines.append(f"requests: {requests['left']} of {requests['cap']} left")
    for title in ("spot", "positions", "sub_accounts", "vaults", "agents"):
        found = [_flat(row) for row in rows(document, title)]
        if found:
            table = listing(tuple(found[0]), found, colour=context.is_colour, width=context.width)
            lines += ["", f"{title.replace('_', ' ')}:", table.rstrip("\n")]
    return "\n".join(lines)


def _flat(row: Mapping[str, Json]) -> dict[str, Json]:
    """Return a row with what is nested summed up, and times as text."""
    flat: dict[str, Json] = {}
    for key, value in row.items():
        match value:
            case dict():
                flat["equity"] = value.get("equity")
                flat["free"] = value.get("withdrawable")
            case list():
                flat[key] = ", ".join(
                    str(one.get("coin") or one.get("symbol")) for one in value if isinstance(one, dict)
                )
            case _:
                flat[key] = moment(value) if key.endswith("_until") else value
    return flat
