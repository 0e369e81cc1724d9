"""A devnet as a process, and the real command for homes that trade there."""

import json
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any


class Desk:
    """A devnet as a process, and the real command for homes that trade there."""

    def __init__(self, folder: Path, *net_options: str) -> None:
        self.folder, self.home = folder, folder / "home"
        runtime = folder / "run"
        runtime.mkdir(mode=0o700)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("TRADEBOT")}
        self.environ = kept | {"XDG_RUNTIME_DIR": str(runtime)}
        words = ["--json", "--home", str(self.home), "devnet", "--port", "0", "--history", "250"]
        words += ["--symbol", "BTC", "--symbol", "ETH", "--symbol", "SOL", *net_options]
        self.net = subprocess.Popen(
            [sys.executable, "-m", "tradebot", *words], stdout=subprocess.PIPE, text=True, env=self.environ
        )
        assert self.net.stdout is not None
        told = json.loads(self.net.stdout.readline())
        self.account = str(told["account"])
        # So many boots within a minute would spend all its weight.
        self.url = str(told["url"])
        self.by_hand("limits", counted=False)
        self.options = ["--profile", "devnet", "--config", str(folder / "mine.toml")]
        venue = f'[venue]\nurl = "{told["url"]}"\nkey_file = "{told["key_file"]}"\n'
        # Nor does a bot here wait for a budget that it counts itself.
        (folder / "mine.toml").write_text("[feed]\nweight_per_minute = 1000000\n" + venue)

    def by_hand(self, what: str, **fields: object) -> Any:
        """Do or ask what no real exchange offers."""
        body = None if what == "accounts" else json.dumps(fields).encode()
        with urllib.request.urlopen(f"{self.url}/admin/{what}", body, timeout=60) as answer:
            return json.loads(answer.read())

    def crowd(self, orders: int, **held: str) -> None:
        """Let another hand trade ``held``, signed sizes by coin, and place so many orders far from the price."""
        for coin, size in held.items():
            self.by_hand("trade", coin=coin, size=size)
        for number in range(orders):
            self.by_hand("trade", coin="BTC", size="0.001", price=str(self.price("BTC") * (900 - number) // 1000))

    def truth(self) -> tuple[Any, Any, Any]:
        """Return the positions and the orders of the account at the venue, and what was placed twice."""
        (account,) = self.by_hand("accounts")
        return account["positions"], account["open"], account["repeated"]

    def price(self, coin: str) -> int:
        asked = urllib.request.Request(
            f"{self.url}/info", b'{"type": "allMids"}', headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=60) as answer:
            return int(float(json.loads(answer.read())[coin]))

    def run(self, *words: str, home: Path | None = None) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tradebot", "--home", str(home or self.home), *words]
        return subprocess.run(command, capture_output=True, text=True, env=self.environ, cwd=self.folder, check=False)

    def ask(self, *words: str) -> str:
        done = self.run(*words)
        assert done.returncode == 0, f"{done.stderr}\n{self._last_words()}"
        return done.stdout

    def _last_words(self) -> str:
        log = self.home / "logs" / "tradebot.jsonl"
        return "\n".join(log.read_text().splitlines()[-40:]) if log.exists() else "no log"

    def status(self) -> dict[str, object]:
        document = json.loads(self.ask("status", "--json"))
        assert isinstance(document, dict)
        return document

    def close(self) -> None:
        self.run("stop")
        self.net.kill()
        self.net.communicate()
