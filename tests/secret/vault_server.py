"""What Vault answers, by its documented protocol: KV version 2, tokens with a life, policies, namespaces, a seal."""

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class FakeVault:
    """One engine mounted at ``secret``; ``tokens`` by their name with what is left of them, in seconds."""

    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    namespace: str = ""
    is_sealed: bool = False
    broken: tuple[int, bytes] | None = None
    versions: dict[str, list[dict[str, Any] | None]] = field(default_factory=dict)
    custom: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        vault = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else {}
                vault.asked.append((self.command, self.path))
                status, document = vault.answer(self.command, self.path, dict(self.headers), body)
                payload = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            do_GET = do_POST = do_DELETE = do_LIST = answer  # noqa: N815  # the names are those of the library

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def answer(self, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> tuple[int, object]:
        if self.broken is not None:
            return self.broken
        if self.is_sealed:
            return 503, {"errors": ["Vault is sealed"]}
        token = self.tokens.get(headers.get("X-Vault-Token", ""))
        if token is None or token["ttl"] <= 0 or headers.get("X-Vault-Namespace", "") != self.namespace:
            return 403, {"errors": ["permission denied"]}
        if path == "/v1/auth/token/lookup-self":
            return 200, {"data": {"ttl": token["ttl"], "renewable": token["renewable"]}}
        if path == "/v1/auth/token/renew-self":
            token["ttl"] = token["period"]
            return 200, {"auth": {"lease_duration": token["period"]}}
        _, _, mount, part, name = path.split("/", 4)
        if mount != "secret":
            return 404, {"errors": [f"no handler for route {path!r}"]}
        return self._data(method, name, body) if part == "data" else self._metadata(method, name.rstrip("/"), body)

    def _data(self, method: str, name: str, body: dict[str, Any]) -> tuple[int, object]:
        if method == "POST":
            self.versions.setdefault(name, []).append(body["data"])
            return 200, {"data": {"version": len(self.versions[name])}}
        kept = self.versions.get(name)
        if not kept:
            return 404, {"errors": []}
        told = {"version": len(kept), "deletion_time": "" if kept[-1] else "2026-11-30T00:00:00Z"}
        return (200 if kept[-1] else 404), {"data": {"data": kept[-1], "metadata": told}}

    def _metadata(self, method: str, name: str, body: dict[str, Any]) -> tuple[int, object]:
        if method == "LIST":
            found = [one.removeprefix(f"{name}/") for one in self.versions if one.startswith(f"{name}/")]
            keys = sorted({one if "/" not in one else one.partition("/")[0] + "/" for one in found})
            return (200, {"data": {"keys": keys}}) if keys else (404, {"errors": []})
        if method == "POST":
            self.custom[name] = body["custom_metadata"]
            return 204, b""
        if name not in self.versions:
            return 404, {"errors": []}
        if method == "DELETE":
            del self.versions[name]
            self.custom.pop(name, None)
            return 204, b""
        return 200, {"data": {"custom_metadata": self.custom.get(name), "current_version": len(self.versions[name])}}
