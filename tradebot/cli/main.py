"""The console script: finds the command, runs it, and says clearly what went wrong."""

import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import TracebackType
from typing import cast

from tradebot.cli.context import Context
from tradebot.cli.parse import Given, parse
from tradebot.cli.table import CommandSpec
from tradebot.model.errors import InvariantError, TradebotError

INTERRUPTED = 130
BROKEN_PIPE = 141
_COMPLETION_VARIABLE = "_TRADEBOT_COMPLETE"
_COMPLETION_OPTIONS = {"--install-completion", "--show-completion"}


def main() -> int:
    """Run the command line of this process and return its exit code."""
    sys.excepthook = _say_internal_error
    # What is imported and read stays: looking through it again and again costs a tenth of the start.
    gc.set_threshold(50_000, 20, 100)
    return run(sys.argv[1:], os.environ)


def run(words: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command that ``words`` name and return its exit code; errors are told on stderr."""
    try:
        if _COMPLETION_VARIABLE in environ or _COMPLETION_OPTIONS & set(words):
            return _hand_to_typer(words)
        code = _dispatch(parse(words), environ)
        sys.stdout.flush()
    except TradebotError as error:
        if "--debug" in words:
            import traceback

            traceback.print_exc()
        sys.stderr.write(error_text(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader, such as head, has enough. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    return code


def error_text(error: TradebotError) -> str:
    """Return what is wrong, where, and the mend, a line each."""
    lines = [f"error: {error.what}"]
    lines += [f"  where: {error.where}"] if error.where else []
    lines += [f"  mend: {error.mend}"] if error.mend else []
    return "\n".join(lines) + "\n"


def execute(command: CommandSpec, context: Context) -> int:
    """Run ``command``; its module is imported only now."""
    module, _, function = command.run.partition(":")
    found = getattr(import_module(f"tradebot.cli.{module}"), function)
    return cast("Callable[[Context], int]", found)(context)


def _dispatch(given: Given, environ: Mapping[str, str]) -> int:
    if given.flag("version"):
        from tradebot import __version__

        sys.stdout.write(f"tradebot {__version__}\n")
        return 0
    if given.command is None or given.flag("help"):
        name = given.command.name if given.command is not None else given.group_word
        return _hand_to_typer([*name.split(), "--help"])
    if "passphrase_fd" in given.values:
        from tradebot.runtime.secret_store import take_passphrase
        from tradebot.secret.passphrase import passphrase_source

        take_passphrase(passphrase_source(environ, given.whole("passphrase_fd", 0)))
    return execute(given.command, Context(given, environ))


def _hand_to_typer(words: Sequence[str]) -> int:
    from tradebot.cli.app import build_app, call

    return call(build_app(), words)


def _say_internal_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    import traceback

    # Nothing may follow this: the exit code of a hook is always 1.
    last = traceback.extract_tb(trace)[-1:]
    where = f"{last[0].filename}:{last[0].lineno}" if last else ""
    if "--debug" in sys.argv:
        traceback.print_exception(kind, error, trace)
    words = InvariantError(f"internal error: {kind.__name__}: {error}", where=where, mend="run it again with --debug")
    sys.stderr.write(error_text(words))
    sys.stderr.flush()
    os._exit(InvariantError.exit_code)
