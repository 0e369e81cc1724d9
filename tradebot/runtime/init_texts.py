"""The texts that ``init`` writes, with places for the answers."""

KEY_NAME = "agent.key"

PAPER = """\
# A configuration of tradebot: paper trading, simulated money. Start it with `tradebot start`, watch it with
# `tradebot status --watch`. Check a change with `tradebot config check`; every key is in
# docs/reference/configuration.md. Secrets never stand here.

[bot]
name = "paper"
mode = "paper"                       # paper | live
symbols = [{symbols}]

# A generated market: seeded, so that the same seed gives the same prices.
[feed]
kind = "generated"
seed = 1
timeframe = "1m"
speed = 60                           # market seconds per real second, or "max"

# Bars of your own instead: put this in place of the [feed] above. Paths are relative to this file.
# [feed]
# kind = "replay"
# data = ["{first}:5m=bars.csv.gz"]        # SYMBOL:TIMEFRAME=FILE with ts_ms,open,high,low,close,volume
# speed = "max"
# at_end = "stay"                    # stay | stop

[venue]
kind = "simulated"
starting_cash = "{cash}"
taker_bps = 4.5                      # fees and slippage in basis points of the notional
maker_bps = 1.5
slippage_bps = 1.0
leverage = 5

# One [[strategy]] for each; `tradebot strategies` lists them and their parameters, `tradebot new-strategy
# FILE` writes one of your own.
[[strategy]]
kind = "sma_cross"
fast = 10
slow = 30
direction = "both"                   # long | short | both
stop = {{ kind = "atr", n = 14, mult = 2.0 }}
target = {{ kind = "r", r = 2.0 }}     # or "none"

[risk]
size = {{ kind = "risk_fraction", fraction = {risk} }}   # of equity, lost if the stop fills
max_order_notional = "{notional}"
max_position_notional = "{notional}"
max_exposure_notional = "{exposure}"
max_leverage = 3

# The trading rules of a symbol; without them tick and lot are 1e-8.
# [[instrument]]
# symbol = "{first}"
# tick = "0.1"
# lot = "0.00001"
# min_notional = "10"
# max_leverage = 40

[log]
level = "info"                       # debug | info | warning | error
"""

DEVNET = """\
# A configuration of tradebot for the local exchange: live trading with money that is worth nothing. In one terminal
#   tradebot devnet
# and in another
#   tradebot start --live
# The devnet writes its key to devnet.key in the home, where it is looked for. Check a change with `tradebot config
# check`; every key is in docs/reference/configuration.md. Secrets never stand here.

[bot]
name = "devnet"
mode = "live"                        # and --live: both, or neither
symbols = [{symbols}]               # what the devnet was started with: --symbol

[feed]
kind = "hyperliquid"                 # network and url are the venue's
history_bars = 200                   # past bars that the strategies see at a first start
stale_s = 30                         # a symbol silent for longer gets no entries until it speaks

[venue]
kind = "hyperliquid"
network = "devnet"
url = "http://127.0.0.1:3001"
leverage = 5                         # set once for each symbol, before its first entry
margin = "cross"                     # cross | isolated
slippage = "0.05"                    # how far a market order may slip, as a fraction

# Short averages, so that something happens within minutes; nobody earns with them.
[[strategy]]
kind = "sma_cross"
name = "cross"
timeframe = "1m"
fast = 2
slow = 5
direction = "both"
stop = {{ kind = "atr", n = 14, mult = 2.0 }}     # rests at the venue, reduce-only
target = {{ kind = "r", r = 2.0 }}

[risk]
size = {{ kind = "notional", notional = "{notional}" }}
max_order_notional = "{notional}"
max_position_notional = "{notional}"
max_exposure_notional = "{exposure}"
max_leverage = 2
# With real money this comes first: no entry is larger while it stands.
# live_cap_notional = "25"

# Pages a human: a halt, a position without a stop, an order whose fate is unknown.
# [alerts]
# url = "http://127.0.0.1:8080/"
# repeat_s = 300
"""

HYPERLIQUID = """\
# A configuration of tradebot for Hyperliquid: live trading. It needs the key of an agent (API wallet) of your account
# in {key_name} beside this file, mode 0600; never the master's key, and never the key itself here. Then
#   tradebot doctor
#   tradebot start --live
# Check a change with `tradebot config check`; every key is in docs/reference/configuration.md, the way from testnet
# to real money in docs/how-to/trade-live.md.

[bot]
name = "hyperliquid"
mode = "live"                        # and --live: both, or neither
symbols = [{symbols}]

[feed]
kind = "hyperliquid"                 # network and url are the venue's
history_bars = 500                   # past bars that the strategies see at a first start
stale_s = 30                         # a symbol silent for longer gets no entries until it speaks

[venue]
kind = "hyperliquid"
network = "{network}"                  # testnet: play money; mainnet: real money
{account}
key_file = "{key_name}"               # the key of an agent (API wallet), mode 0600
leverage = 2                         # set once for each symbol, before its first entry
margin = "cross"                     # cross | isolated
slippage = "0.02"                    # how far a market order may slip, as a fraction

# No strategy here is a promise: docs/reference/results.md shows what the built-in ones earned, and most lost.
[[strategy]]
kind = "donchian_breakout"
name = "breakout"
timeframe = "1h"
entry = 20
exit = 10
direction = "both"
stop = {{ kind = "atr", n = 14, mult = 2.5 }}     # rests at the venue, reduce-only
target = {{ kind = "r", r = 3.0 }}

[risk]
size = {{ kind = "risk_fraction", fraction = 0.005 }}   # of equity, lost if the stop fills
max_order_notional = "100"
max_position_notional = "100"
max_exposure_notional = "200"
max_leverage = 1
# No entry is larger while this stands. Lowered by `tradebot reload` at once, raised or removed only while halted.
live_cap_notional = "25"

# Pages a human: a halt, a position without a stop, an order whose fate is unknown. As good as a password: rather
# in the environment, TRADEBOT__ALERTS__URL.
# [alerts]
# url = "https://hooks.example.org/your/path"
# repeat_s = 300
"""
