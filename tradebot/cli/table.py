"""Every command and option, once. The parser, the help, shell completion and the reference page are made of this.

Standard library only and cheap to import: ``tradebot status`` reads it too.
"""

from typing import NamedTuple

FLAG, TEXT, INT, FLOAT, PATH = "flag", "text", "int", "float", "path"

SET_UP, DAEMON, TRADING, RESULTS, RESEARCH, UPKEEP = "set-up", "daemon", "trading", "results", "research", "upkeep"
GROUPS = (SET_UP, DAEMON, TRADING, RESULTS, RESEARCH, UPKEEP)


class Option(NamedTuple):
    """An option: ``--name``, or with ``short`` ``-x`` as well. ``at_least`` bounds a number."""

    name: str
    help: str
    kind: str = FLAG
    metavar: str = ""
    short: str = ""
    is_repeatable: bool = False
    choices: tuple[str, ...] = ()
    at_least: float | None = None

    @property
    def key(self) -> str:
        """The name under which its value is found."""
        return self.name.removeprefix("--").replace("-", "_")


class Argument(NamedTuple):
    """A positional argument, a text; a repeatable one, the last of its command, takes all that follow."""

    name: str
    help: str
    is_required: bool = True
    is_repeatable: bool = False

    @property
    def key(self) -> str:
        """The name under which its value is found."""
        return self.name.partition("|")[0].lower()


class CommandSpec(NamedTuple):
    """A command of one or two words; ``run`` is ``module:function`` below ``tradebot.cli``."""

    name: str
    group: str
    help: str
    run: str
    options: tuple[Option, ...] = ()
    arguments: tuple[Argument, ...] = ()


GLOBALS: tuple[Option, ...] = (
    Option("--home", "state directory; else $TRADEBOT_HOME, $STATE_DIRECTORY, $XDG_STATE_HOME/tradebot", PATH, "DIR"),
    Option("--config", "configuration file; may be repeated, later ones win", PATH, "FILE", is_repeatable=True),
    Option(
        "--profile",
        "a configuration shipped with tradebot: demo, paper, replay, devnet or hyperliquid-paper, -testnet, -live",
        TEXT,
        "NAME",
    ),
    Option("--json", "print JSON for scripts"),
    Option("--debug", "show the traceback of an error"),
    Option("--version", "print the version"),
    Option("--help", "say what there is, or what a command takes", short="-h"),
)

_FLATTEN = Option("--flatten", "also close and cancel all that the account has; return when the venue says flat")
_OWN = Option("--own", "with --flatten: only what this bot opened and placed")
_ALL = Option("--all", "with --flatten: all that the account has, whatever risk.flatten says")
_REASON = Option("--reason", "a note for the journal", TEXT, "TEXT")
_SINCE = Option("--since", "from then on: ISO 8601, epoch milliseconds, or an age such as 7d", TEXT, "T")
_UNTIL = Option("--until", "up to then, exclusive", TEXT, "T")
_CSV = Option("--csv", "write trades, equity, daily, monthly and report there, as .csv", PATH, "DIR")
_PARQUET = Option("--parquet", "write the same tables there, as .parquet", PATH, "DIR")
_HTML = Option("--html", "write a page with charts and tables", PATH, "FILE")
_TIMEOUT = Option("--timeout", "seconds to wait for its end (30)", FLOAT, "S", at_least=0)
_LIVE = Option("--live", 'trade real money; the configuration must say mode = "live" too')
_LAST = Option("--last", "at most this many, the newest (50)", INT, "N", "-n", at_least=1)
_LEVELS = ("debug", "info", "warning", "error")

_KEEP = Option("--keep", "which bar stays where the store differs", TEXT, "WHICH", choices=("stored", "new"))
_PASSPHRASE_FD = Option(
    "--passphrase-fd", "read the passphrase of the keystore from this open file", INT, "N", at_least=0
)
_SECRET_KINDS = ("agent-key", "token", "url", "other")
_SECRET = Argument("NAME", "of the secret")
_USER = Option("--user", "a service of your own user, not of the system")
_NAME = Argument("NAME", "which instance, when there are several (main)", is_required=False)
_UNITS = (
    _USER,
    _LIVE,
    Option("--guard", "also a guard beside it, with a key of its own"),
    Option("--key-file", "given to this service alone (of the system: /etc/tradebot/NAME.key)", PATH, "FILE"),
    Option("--guard-key", "the same for the guard (/etc/tradebot/NAME.guard.key)", PATH, "FILE"),
    Option("--passphrase-file", "the passphrase of the keystore, given to this service alone", PATH, "FILE"),
    Option("--encrypted", "these files are as systemd-creds encrypt has written them"),
)
_FORCE_UNIT = Option("--force", "also where somebody has edited a unit by hand; it is kept beside")
_SERIES = Argument("SERIES", "a series of the store: VENUE:SYMBOL:TIMEFRAME")

_PLACE = (
    Option("--account", "the master's address, if not as configured", TEXT, "ADDRESS"),
    Option("--network", "mainnet, testnet or devnet, if not as configured", TEXT, "NAME"),
    Option("--url", "where the exchange answers", TEXT, "URL"),
)
_MASTER = (
    Option(
        "--master-key-file",
        "the file that holds the master key; else it is asked for, or read from a pipe",
        PATH,
        "FILE",
    ),
    Option("--master-key-fd", "read the master key from this open file", INT, "N", at_least=0),
    Option("--yes", "ask nothing", short="-y"),
)

COMMANDS: tuple[CommandSpec, ...] = (
    CommandSpec(
        "init",
        SET_UP,
        "write a commented configuration for this home; asks at most 3 questions",
        "commands_setup:init",
        (
            Option("--paper", "simulated money on the built-in market (default)"),
            Option("--devnet", "live trading on the local exchange, to rehearse"),
            Option("--hyperliquid", "live trading on Hyperliquid, its testnet unless you say mainnet"),
            Option("--yes", "take every default, ask nothing", short="-y"),
        ),
    ),
    CommandSpec(
        "doctor",
        SET_UP,
        "check machine, home, configuration, and a real venue",
        "commands_setup:doctor",
        (_PASSPHRASE_FD,),
    ),
    CommandSpec(
        "config check",
        SET_UP,
        "say whether the configuration can be used; warn of ticks that are assumed",
        "commands_setup:config_check",
    ),
    CommandSpec("config show", SET_UP, "print the configuration as it takes effect", "commands_setup:config_show"),
    CommandSpec(
        "config diff", SET_UP, "list what the files say otherwise than the running daemon", "commands_config:diff"
    ),
    CommandSpec(
        "config history", SET_UP, "list the configurations that were in force, newest first", "commands_config:history"
    ),
    CommandSpec(
        "config rollback",
        SET_UP,
        "put a configuration of the past back into the file, and apply it",
        "commands_config:rollback",
        arguments=(Argument("HASH", "one of the history; without it, the one before the present", is_required=False),),
    ),
    CommandSpec(
        "agent create",
        SET_UP,
        "make a key that is to trade for an account",
        "commands_agent:create",
        (
            Option("--key-file", "the new file to write it to (agent.key in the home)", PATH, "FILE"),
            Option("--secret", "keep it in the store of secrets under this name instead", TEXT, "NAME"),
            _PASSPHRASE_FD,
        ),
    ),
    CommandSpec(
        "agent approve",
        SET_UP,
        "let a key trade for the account, but not withdraw; takes the master key once and keeps it nowhere",
        "commands_agent:approve",
        (
            Option(
                "--name", "what the exchange calls it (tradebot); an agent that has this name is ended", TEXT, "NAME"
            ),
            Option(
                "--valid-for", "how long it may trade, such as 30d, at most 180d (the exchange's 90d)", TEXT, "TIME"
            ),
            Option("--key-file", "the file that holds its key (agent.key in the home)", PATH, "FILE"),
            Option("--secret", "its name in the store of secrets, which is told when it ends", TEXT, "NAME"),
            _PASSPHRASE_FD,
            *_MASTER,
            *_PLACE,
        ),
        (Argument("ADDRESS", "its address, else that of the key in --key-file", is_required=False),),
    ),
    CommandSpec(
        "agent list", SET_UP, "list the agents of the account, and when they end", "commands_agent:list_agents", _PLACE
    ),
    CommandSpec(
        "agent revoke",
        SET_UP,
        "end an agent: its key can do nothing any more",
        "commands_agent:revoke",
        (*_MASTER, *_PLACE),
        (Argument("AGENT", "its name or its address"),),
    ),
    CommandSpec(
        "account show",
        SET_UP,
        "show balances, positions, sub-accounts, vaults, agents, fees and requests, as the exchange tells them",
        "commands_account:show",
        _PLACE,
    ),
    CommandSpec(
        "account transfer",
        SET_UP,
        "move USDC between spot, perpetuals, sub-accounts and vaults; takes the master key once",
        "commands_account:transfer",
        (
            Option("--from", "perp, spot, or name or address of a sub-account or vault", TEXT, "PLACE"),
            Option("--to", "the same", TEXT, "PLACE"),
            *_MASTER,
            *_PLACE,
        ),
        (Argument("AMOUNT", "how much USDC"),),
    ),
    CommandSpec(
        "config migrate",
        SET_UP,
        "bring the files into the form of this release; a copy is kept",
        "commands_config:migrate",
        (Option("--dry-run", "only show the change"),),
    ),
    CommandSpec(
        "config schema",
        SET_UP,
        "print the JSON Schema by which editors complete a configuration",
        "commands_config:schema",
    ),
    CommandSpec("strategies", SET_UP, "list strategies, their parameters and defaults", "commands_setup:strategies"),
    CommandSpec(
        "new-strategy",
        SET_UP,
        "write a running strategy to begin your own with",
        "commands_setup:new_strategy",
        arguments=(Argument("FILE", "the Python file to write; one that is there is left alone"),),
    ),
    CommandSpec(
        "start",
        DAEMON,
        "start the daemon and return when it runs",
        "commands_daemon:start",
        (
            Option("--foreground", "stay in this terminal and log to it"),
            _LIVE,
            _PASSPHRASE_FD,
            Option("--take-over", "let a home that was restored or copied trade its account; it comes up halted"),
        ),
    ),
    CommandSpec(
        "stop",
        DAEMON,
        "end the daemon; resting stops stay at the venue",
        "quick:stop",
        (_FLATTEN, _OWN, _ALL, _TIMEOUT),
    ),
    CommandSpec("restart", DAEMON, "stop, then start as before", "commands_daemon:restart", (_TIMEOUT, _PASSPHRASE_FD)),
    CommandSpec("reload", DAEMON, "read the configuration again and apply what can be", "commands_daemon:reload"),
    CommandSpec(
        "status",
        DAEMON,
        "say what the daemon does",
        "quick:status",
        (Option("--watch", "keep it on the screen, fresh every second", short="-w"),),
    ),
    CommandSpec("ps", DAEMON, "list the daemons of all homes", "commands_daemon:ps"),
    CommandSpec("health", DAEMON, "exit 0 when the daemon is well, 1 when not", "quick:health"),
    CommandSpec(
        "logs",
        DAEMON,
        "print the log, newest last",
        "commands_daemon:logs",
        (
            Option("--follow", "go on with new lines as they come", short="-f"),
            Option("--last", "at most this many lines (50)", INT, "N", "-n", at_least=0),
            Option("--level", "only this level and above", TEXT, "LEVEL", choices=_LEVELS),
            Option("--event", "only events of this name", TEXT, "NAME"),
        ),
    ),
    CommandSpec(
        "service install",
        DAEMON,
        "write and enable the systemd unit that runs this configuration",
        "commands_service:install",
        (*_UNITS, Option("--now", "start it at once"), _FORCE_UNIT),
        (_NAME,),
    ),
    CommandSpec(
        "service uninstall",
        DAEMON,
        "stop it and remove its units; configuration, key and state stay",
        "commands_service:uninstall",
        (_USER, Option("--force", "also a unit that somebody has edited by hand")),
        (_NAME,),
    ),
    CommandSpec(
        "service show",
        DAEMON,
        "print the units that install would write, and what is in the way",
        "commands_service:show",
        _UNITS,
        (_NAME,),
    ),
    CommandSpec(
        "service status",
        DAEMON,
        "what systemd says of it and what the daemon says; exit 0 when both are well, 3 when it does not run",
        "commands_service_status:status",
        (_USER,),
        (_NAME,),
    ),
    CommandSpec("pause", TRADING, "no new entries; exits and stops live on", "commands_trading:pause"),
    CommandSpec(
        "resume",
        TRADING,
        "trade again, after a breaker with --reason; asks disabled strategies again",
        "commands_trading:resume",
        (_REASON,),
    ),
    CommandSpec("reduce-only", TRADING, "nothing that adds to a position", "commands_trading:reduce_only"),
    CommandSpec(
        "halt",
        TRADING,
        "nothing but cancels and stops",
        "commands_halt:halt",
        (
            _FLATTEN,
            _OWN,
            _ALL,
            Option(
                "--timeout", "seconds to wait for flat (60); then exit 4 and say what is left", FLOAT, "S", at_least=0
            ),
            Option("--emergency", "with --flatten: where no daemon answers, end all at the venue by the key alone"),
            Option("--network", "with --emergency: mainnet, testnet or devnet, if not as configured", TEXT, "NAME"),
            Option("--url", "with --emergency: where the venue answers", TEXT, "URL"),
            Option("--account", "with --emergency: the master's address", TEXT, "ADDRESS"),
            Option("--key-file", "with --emergency: the file that holds the key", PATH, "FILE"),
            _PASSPHRASE_FD,
            _REASON,
        ),
    ),
    CommandSpec(
        "guard",
        DAEMON,
        "watch the daemon from beside it: when it is gone or silent, end all at the venue by a key of its own",
        "commands_guard:guard",
        (
            Option("--after", "seconds without a beat (15)", FLOAT, "S"),
            Option("--key-file", "the file that holds its key (guard.key in the home)", PATH, "FILE"),
            Option("--key-secret", "the secret that holds its key, in place of a file", TEXT, "NAME"),
            _PASSPHRASE_FD,
            Option("--network", "mainnet, testnet or devnet, if not as configured", TEXT, "NAME"),
            Option("--url", "where the venue answers", TEXT, "URL"),
            Option("--account", "the master's address", TEXT, "ADDRESS"),
        ),
    ),
    CommandSpec(
        "close",
        TRADING,
        "close a position at market",
        "commands_trading:close",
        (Option("--fraction", "only this part of it, above 0 up to 1", TEXT, "F"),),
        (Argument("SYMBOL", "the symbol whose position it is"),),
    ),
    CommandSpec(
        "cancel",
        TRADING,
        "cancel an order, or all but the protecting stops",
        "commands_trading:cancel",
        (Option("--all", "all of them"),),
        (Argument("ID", "the client order id", is_required=False),),
    ),
    CommandSpec("orders", TRADING, "list the open orders", "commands_trading:orders"),
    CommandSpec("positions", TRADING, "list the open positions", "commands_trading:positions"),
    CommandSpec("balance", TRADING, "show the account", "commands_trading:balance"),
    CommandSpec(
        "signals", TRADING, "list signals and what became of them, newest first", "commands_trading:signals", (_LAST,)
    ),
    CommandSpec(
        "why",
        TRADING,
        "explain decisions: signal, gate and numbers, or the orders, newest first",
        "commands_trading:why",
        (_LAST,),
        (Argument("SYMBOL|ID", "a symbol, or the id of a signal or an order"),),
    ),
    CommandSpec(
        "risk",
        TRADING,
        "show every limit, what is held against it, and what bad days would cost",
        "commands_trading:risk",
        (_HTML,),
    ),
    CommandSpec(
        "report",
        RESULTS,
        "say what was earned and how",
        "commands_results:report",
        (
            _SINCE,
            _UNTIL,
            Option("--by", "split", TEXT, "WHAT", choices=("day", "week", "month", "symbol", "strategy")),
            _HTML,
            _CSV,
            _PARQUET,
        ),
    ),
    CommandSpec(
        "trades", RESULTS, "list the finished round trips, newest last", "commands_results:trades", (_SINCE, _UNTIL)
    ),
    CommandSpec(
        "backtest",
        RESEARCH,
        "run the configuration over its bars as fast as possible",
        "commands_backtest:backtest",
        (
            Option("--data", "bars in place of the configured", TEXT, "SYMBOL:TF=FILE", is_repeatable=True),
            Option("--bars", "how many bars of a generated market", INT, "N", at_least=1),
            Option("--trades", "write the round trips as JSON lines", PATH, "FILE"),
            Option("--repair", "mend broken data files in passing, and say how"),
            Option("--force", "with --repair: leave out more than 5 % of a file"),
            Option(
                "--grid",
                "run every combination of these values of a parameter, such as fast=5,10",
                TEXT,
                "NAME=A,B,C",
                is_repeatable=True,
            ),
            Option(
                "--each",
                "run once for each such file; FILE may be a pattern",
                TEXT,
                "SYMBOL:TF=FILE",
                is_repeatable=True,
            ),
            Option("--workers", "processes for many runs (one for each processor)", INT, "N", at_least=1),
            Option("--cluster", "many runs on a Ray cluster, by the address of its head", TEXT, "HOST:PORT"),
            Option("--results", "keep the result of each run there, and go on with what is in it", PATH, "FILE"),
            _HTML,
            _CSV,
            _PARQUET,
        ),
    ),
    CommandSpec(
        "scan",
        RESEARCH,
        "find the smart-money patterns of a history: swings, breaks, gaps, order blocks, liquidity",
        "commands_scan:scan",
        (
            Option("--jsonl", "print the events as JSON lines, as --json does"),
            Option("--html", "write an interactive chart", PATH, "FILE"),
            Option("--param", "set a parameter: L, atr_n, min_gap_atr, ...", TEXT, "NAME=VALUE", is_repeatable=True),
            Option("--bars", "how many bars of a generated market (10000)", INT, "N", at_least=1),
            Option("--last", "at most this many events in the table (20)", INT, "N", "-n", at_least=0),
        ),
        (Argument("FILE|SYMBOL", "a file with bars, or a symbol of the configuration"),),
    ),
    CommandSpec(
        "lookahead",
        RESEARCH,
        "say whether decisions depend on bars that were still to come; exit 1 when one does",
        "commands_lookahead:lookahead",
        (
            Option("--strategy", "only this one: a name of the configuration, a kind, or FILE.py:CLASS", TEXT, "NAME"),
            Option("--data", "bars in place of the configured", TEXT, "SYMBOL:TF=FILE", is_repeatable=True),
            Option(
                "--bars", "at most so many bars; of a generated market, so many for each symbol", INT, "N", at_least=1
            ),
            Option("--prefixes", "how many parts of the history are run (50)", INT, "K", at_least=1),
        ),
    ),
    CommandSpec(
        "data import",
        RESEARCH,
        "read bars of other programs into the store of bars, and say what each column was taken for",
        "commands_data:import_files",
        (
            Option("--as", "the series they are, such as hyperliquid:BTC:5m", TEXT, "VENUE:SYMBOL:TF"),
            Option("--columns", "which column is what, such as time=Date,open=2", TEXT, "NAME=COLUMN,..."),
            Option("--unit", "of the stamps", TEXT, "UNIT", choices=("s", "ms", "us", "ns")),
            Option("--dates", "the order of day and month", TEXT, "ORDER", choices=("dmy", "mdy")),
            Option("--zone", "of stamps that have none (UTC): a name such as Europe/Athens, or +02:00", TEXT, "ZONE"),
            Option("--decimal", "what stands before the fraction", TEXT, "CHAR", choices=(".", ",")),
            Option("--separator", "what stands between the columns", TEXT, "CHAR"),
            Option("--closes", "the stamps are those of the closes"),
            _KEEP,
            Option("--repair", "leave out lines that are no bars, and say so"),
            Option("--force", "with --repair: leave out more than 5 % of a file"),
        ),
        (Argument("FILE", "CSV, JSON, Parquet or Feather, also as gzip or zip", is_repeatable=True),),
    ),
    CommandSpec("data list", RESEARCH, "list the series of the store of bars", "commands_data:list_series"),
    CommandSpec(
        "data show",
        RESEARCH,
        "show one series: its first and last bars, how its days are covered, and where it came from",
        "commands_data:show",
        (Option("--last", "how many bars of each end (3)", INT, "N", "-n", at_least=0),),
        (_SERIES,),
    ),
    CommandSpec(
        "data validate",
        RESEARCH,
        "name what is wrong with bars, in files or in the store; exit 1 when anything is",
        "commands_data_check:validate_series",
        (
            Option(
                "--last", "at most this many findings of a series as text, the newest (20)", INT, "N", "-n", at_least=1
            ),
        ),
        (
            Argument(
                "SERIES",
                "SYMBOL:TIMEFRAME=FILE, or VENUE:SYMBOL:TIMEFRAME of the store (all of it)",
                is_required=False,
                is_repeatable=True,
            ),
        ),
    ),
    CommandSpec(
        "data repair",
        RESEARCH,
        "mend a series of the store by its finer bars, or a file into a copy; say what was done",
        "commands_data_check:repair",
        (
            Option("--leave-out", "of a series: bars that are outlier, flat or grid", TEXT, "KIND,..."),
            Option("--to", "of a file: where the copy goes (NAME.repaired.csv)", PATH, "FILE"),
            Option("--force", "leave out more than 5 % of a file"),
        ),
        (Argument("SERIES", "VENUE:SYMBOL:TIMEFRAME of the store, or SYMBOL:TIMEFRAME=FILE"),),
    ),
    CommandSpec(
        "data resample",
        RESEARCH,
        "make bars of a longer timeframe, as a series of its own",
        "commands_data_check:resample",
        (Option("--partial", "also of parts of which some are missing"), _KEEP),
        (_SERIES, Argument("TIMEFRAME", "a multiple of the series' own, such as 1h")),
    ),
    CommandSpec(
        "data download",
        RESEARCH,
        "fetch from Hyperliquid what the store lacks: at most the newest 5,000 bars, which is what it keeps",
        "commands_data:download",
        (_SINCE, Option("--url", "where it answers, if not as usual", TEXT, "URL"), _KEEP),
        (Argument("SERIES", "hyperliquid:BTC:5m; the venue may be hyperliquid-testnet or devnet", is_repeatable=True),),
    ),
    CommandSpec(
        "data export",
        RESEARCH,
        "write a series as CSV, JSON or Parquet, by the file's ending; .gz packs it",
        "commands_data:export",
        (_SINCE, _UNTIL),
        (_SERIES, Argument("FILE", "where to: name.csv, name.csv.gz, name.json or name.parquet")),
    ),
    CommandSpec(
        "devnet",
        UPKEEP,
        "run a local exchange that speaks Hyperliquid's protocol, to rehearse on; until interrupted",
        "commands_devnet:devnet",
        (
            Option("--port", "where to listen on 127.0.0.1 (3001; 0: any free one)", INT, "N", at_least=0),
            Option("--symbol", "a coin of the generated market (BTC, ETH)", TEXT, "NAME", is_repeatable=True),
            Option(
                "--data",
                "replay these bars in place of the generated market",
                TEXT,
                "SYMBOL:TF=FILE",
                is_repeatable=True,
            ),
            Option("--recorded", "replay the frames of a recorded socket, of one --symbol", PATH, "FILE"),
            Option("--timeframe", "of the bars that are generated (1m)", TEXT, "TF"),
            Option("--history", "how many bars are past when it starts (1000)", INT, "N", at_least=1),
            Option("--speed", "market seconds a second (1)", FLOAT, "X", at_least=0),
            Option("--seed", "of market, faults and key (1)", INT, "N", at_least=0),
            Option("--cash", "what the account has (10000)", TEXT, "USDC"),
            Option("--depth", "what each side of the book offers (5000000)", TEXT, "USDC"),
            Option("--latency", "milliseconds before a request is looked at (0)", INT, "MS", at_least=0),
            Option(
                "--fault", "a fault from the start, such as timeout:probability=0.1", TEXT, "RULE", is_repeatable=True
            ),
            Option("--key", "where the account's key is written (devnet.key in the home)", PATH, "FILE"),
        ),
    ),
    CommandSpec(
        "secrets set",
        UPKEEP,
        "keep a key, token or address encrypted; it is read from standard input, or asked for",
        "commands_secrets:set_secret",
        (
            Option("--kind", "what it is, unless a setting names it", TEXT, "KIND", choices=_SECRET_KINDS),
            Option("--expires", "when it ends: 90d, ISO 8601 or epoch milliseconds", TEXT, "T"),
            _PASSPHRASE_FD,
        ),
        (_SECRET,),
    ),
    CommandSpec(
        "secrets rotate",
        UPKEEP,
        "keep another value; a daemon that trades by it changes over without a restart, or refuses it",
        "commands_secrets:rotate",
        (Option("--expires", "when the new one ends: 90d, ISO 8601 or epoch milliseconds", TEXT, "T"), _PASSPHRASE_FD),
        (_SECRET,),
    ),
    CommandSpec(
        "secrets list", UPKEEP, "list the secrets and who uses them; never a value", "commands_secrets:list_secrets"
    ),
    CommandSpec(
        "secrets check",
        UPKEEP,
        "open every secret; exit 77 when one cannot be opened, is missing or has ended",
        "commands_secrets:check",
        (_PASSPHRASE_FD,),
    ),
    CommandSpec(
        "secrets revoke", UPKEEP, "forget a secret that no setting names", "commands_secrets:revoke", (), (_SECRET,)
    ),
    CommandSpec(
        "incident",
        UPKEEP,
        "pack what happened, without secrets, into one file for whoever helps",
        "commands_incident:incident",
        (
            Option("--since", "log and journal from then on: ISO 8601, epoch milliseconds, or an age (1d)", TEXT, "T"),
            Option("--out", "the file to write; one that is there is left alone", PATH, "FILE"),
        ),
    ),
    CommandSpec("state verify", UPKEEP, "check the journal and the snapshots", "commands_state:verify"),
    CommandSpec("state backup", UPKEEP, "write a verified copy of the journal", "commands_state:backup"),
    CommandSpec(
        "state restore",
        UPKEEP,
        "put a backup in place; the present state is kept aside",
        "commands_state:restore",
        arguments=(Argument("FILE", "the backup"),),
    ),
    CommandSpec(
        "state reset",
        UPKEEP,
        "begin a fresh paper account; the old state is kept aside",
        "commands_state:reset",
    ),
)
