"""Secrets in files below the home: agent keys as Ethereum keystores, everything else sealed by AES-256-GCM.

An agent key is a keystore of version 3, which every wallet opens. The rest is sealed under a key made of the
passphrase by scrypt; name, kind and dates are bound to it, so that no file passes for another. What may be told stands
beside it in clear: listing needs no passphrase. All secrets of one folder have one passphrase.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from tradebot.model.errors import ConfigError, NotPermitted, StorageFailed
from tradebot.model.time import Nanos
from tradebot.ports import Clock
from tradebot.secret.files import private_folder, read_private, sync_folder, write_private
from tradebot.secret.passphrase import AskPassphrase
from tradebot.secret.secret import Secret
from tradebot.secret.store import (
    EXTRA_MEND,
    KINDS,
    SecretFacts,
    SecretKind,
    StoreKind,
    absent,
    check_name,
    checked,
    facts_of,
    fingerprint,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FOLDER_NAME = "secrets"
SCRYPT_N = 1 << 17
"""128 MiB and half a second for each guess."""

_MOST = 64 * 1024
_R, _P, _KEY_BYTES, _NONCE_BYTES = 8, 1, 32, 12
_LARGEST_N = 1 << 20
_SUFFIX = ".json"
_WRONG = "it is damaged, or that is not its passphrase"
_RESTORE = "give the passphrase it was set with, or set it anew"


class Keystore:
    """The secrets below ``folder``, of mode 0700. ``scrypt_n`` is what a guess at the passphrase of a new one costs."""

    def __init__(self, folder: Path, passphrase: AskPassphrase, clock: Clock, *, scrypt_n: int = SCRYPT_N) -> None:
        self._folder, self._passphrase, self._clock, self._scrypt_n = folder, passphrase, clock, scrypt_n

    @property
    def kind(self) -> StoreKind:
        """Files that a passphrase opens."""
        return "keystore"

    def facts(self) -> list[SecretFacts]:
        """Return the facts of all secrets, by name, unproved: they stand beside what is sealed.

        A file that says none takes nothing from the others: it has a ``flaw``.
        """
        return [self._told_of(name) for name in self._names()]

    def get(self, name: str) -> Secret:
        """Return a secret. Raises ``NotPermitted`` for a wrong passphrase, a damaged file, or none."""
        return self._opened(check_name(name), self._passphrase())

    def put(self, name: str, secret: Secret, *, kind: SecretKind, expires: Nanos | None) -> SecretFacts:
        """Keep a secret. Raises ``NotPermitted`` also when the others have another passphrase."""
        secret = checked(kind, secret)
        facts = facts_of(name, secret, kind, self.kind, self._clock.now(), expires)
        private_folder(self._folder, is_made=True)
        passphrase = self._passphrase()
        others = [known.name for known in self.facts() if known.name != name and not known.flaw]
        if others:
            # One folder with two passphrases would open by halves at the next start.
            self._opened(others[0], passphrase)
        told: _Told = {"name": name, "kind": kind, "created": facts.created, "expires": expires}
        seal = _keystore_v3 if kind == "agent-key" else _sealed
        document = seal(secret, passphrase, told | {"fingerprint": facts.fingerprint}, self._scrypt_n)
        write_private(self._path(name), orjson.dumps(document, option=orjson.OPT_INDENT_2))
        return facts

    def remove(self, name: str) -> None:
        """Forget a secret: its file is taken away."""
        path = self._path(check_name(name))
        try:
            path.unlink()
            sync_folder(self._folder)
        except FileNotFoundError:
            raise absent(name, str(self._folder)) from None
        except OSError as error:
            raise StorageFailed(f"cannot be removed: {error.strerror}", where=str(path)) from error

    def _names(self) -> list[str]:
        if not private_folder(self._folder, is_made=False):
            return []
        found = (path.name.removesuffix(_SUFFIX) for path in self._folder.glob(f"*{_SUFFIX}"))
        return sorted(name for name in found if not name.startswith("."))

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _document(self, name: str) -> dict[str, object]:
        path = self._path(name)
        if not private_folder(self._folder, is_made=False) or not path.exists():
            raise absent(name, str(self._folder))
        try:
            document = orjson.loads(read_private(path, _MOST))
        except orjson.JSONDecodeError:
            raise NotPermitted("is no secret of this store", where=str(path), mend=_RESTORE) from None
        if not isinstance(document, dict):
            raise NotPermitted("is no secret of this store", where=str(path), mend=_RESTORE)
        return document

    def _told_of(self, name: str) -> SecretFacts:
        try:
            return self._facts_of(name, self._document(name))
        except NotPermitted as error:
            flaw = f"{error.where}: {error.what}"
            return SecretFacts(
                name=name, kind="other", backend=self.kind, created=None, expires=None, fingerprint="", flaw=flaw
            )

    def _facts_of(self, name: str, document: dict[str, object]) -> SecretFacts:
        told = document.get("tradebot")
        if not isinstance(told, dict) or told.get("kind") not in KINDS or told.get("name") != name:
            raise NotPermitted("is no secret of this store, or was renamed", where=str(self._path(name)), mend=_RESTORE)
        created, expires = told.get("created"), told.get("expires")
        return SecretFacts(
            name=name,
            kind=told["kind"],
            backend=self.kind,
            created=Nanos(created) if isinstance(created, int) else None,
            expires=Nanos(expires) if isinstance(expires, int) else None,
            fingerprint=str(told.get("fingerprint")),
        )

    def _opened(self, name: str, passphrase: Secret) -> Secret:
        document = self._document(name)
        facts = self._facts_of(name, document)
        opened = _open_v3 if facts.kind == "agent-key" else _unsealed
        try:
            secret = opened(document, passphrase)
            if fingerprint(name, facts.kind, secret) == facts.fingerprint:
                return secret
        except (KeyError, TypeError, ValueError, OverflowError, NotImplementedError, MemoryError):
            # The cause could quote what was sealed.
            pass
        raise NotPermitted(f"cannot be opened: {_WRONG}", where=str(self._path(name)), mend=_RESTORE)


_Told = dict[str, object]


def _keystore_v3(secret: Secret, passphrase: Secret, told: _Told, scrypt_n: int) -> _Told:
    keyfile = _eth_keyfile()
    key = bytes.fromhex(secret.reveal())
    made: _Told = keyfile(key, passphrase.reveal().encode(), kdf="scrypt", iterations=scrypt_n)
    return {**made, "tradebot": told}


def _open_v3(document: _Told, passphrase: Secret) -> Secret:
    from eth_keyfile.keyfile import decode_keyfile_json

    _check_cost(document, "crypto", "kdfparams")
    key: bytes = decode_keyfile_json(document, passphrase.reveal().encode())  # type: ignore[arg-type]  # it encodes a str itself
    return Secret(key.hex())


def _eth_keyfile() -> Callable[..., _Told]:
    try:
        from eth_keyfile.keyfile import create_keyfile_json
    except ImportError as error:
        raise ConfigError("the keystore needs the package eth-keyfile", where="secrets", mend=EXTRA_MEND) from error
    return create_keyfile_json


def _sealed(secret: Secret, passphrase: Secret, told: _Told, scrypt_n: int) -> _Told:
    salt, nonce = os.urandom(_KEY_BYTES), os.urandom(_NONCE_BYTES)
    kdf = {"n": scrypt_n, "r": _R, "p": _P, "salt": salt.hex()}
    sealed = _cipher(passphrase, kdf).encrypt(nonce, secret.reveal().encode(), _bound(told))
    return {
        "tradebot": told,
        "cipher": "aes-256-gcm",
        "nonce": nonce.hex(),
        "kdf": "scrypt",
        "kdfparams": kdf,
        "ciphertext": base64.b64encode(sealed).decode(),
    }


def _unsealed(document: _Told, passphrase: Secret) -> Secret:
    from cryptography.exceptions import InvalidTag

    kdf, told = document["kdfparams"], document["tradebot"]
    if document["cipher"] != "aes-256-gcm" or not isinstance(kdf, dict) or not isinstance(told, dict):
        raise ValueError("cipher")
    _check_cost(document, "kdfparams")
    sealed = base64.b64decode(str(document["ciphertext"]), validate=True)
    try:
        opened: bytes = _cipher(passphrase, kdf).decrypt(bytes.fromhex(str(document["nonce"])), sealed, _bound(told))
    except InvalidTag:
        raise ValueError("tag") from None
    return Secret(opened.decode())


def _cipher(passphrase: Secret, kdf: _Told) -> "AESGCM":
    try:
        from cryptography.hazmat.primitives.ciphers import aead
    except ImportError as error:
        raise ConfigError("the keystore needs the package cryptography", where="secrets", mend=EXTRA_MEND) from error
    n, r, p = (int(str(kdf[key])) for key in ("n", "r", "p"))
    salt = bytes.fromhex(str(kdf["salt"]))
    memory = 128 * r * (n + p + 2) + (1 << 20)
    return aead.AESGCM(
        hashlib.scrypt(passphrase.reveal().encode(), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=_KEY_BYTES)
    )


def _bound(told: _Told) -> bytes:
    """Return what is proved with the secret: all that is told of it."""
    return orjson.dumps(told, option=orjson.OPT_SORT_KEYS)


def _check_cost(document: _Told, *path: str) -> None:
    """Raise ``ValueError`` for a key derivation that would eat the machine."""
    found: object = document
    for key in path:
        found = found[key] if isinstance(found, dict) else None
    if isinstance(found, dict) and (int(found.get("n", 0)) > _LARGEST_N or int(found.get("r", _R)) != _R):
        raise ValueError("scrypt")
