"""The private key: read from a file only its owner may read, held where no log, repr or pickle finds it."""

import hashlib
import hmac
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import orjson
from coincurve import PrivateKey
from Crypto.Cipher import AES  # of pycryptodome  # nosec B413

from tradebot.model.errors import NotPermitted
from tradebot.venues.hyperliquid.sign import Signature, keccak256

_KEY_BYTES = 32
_MAX_FILE = 16_384
_LOCK_DOWN = "chmod 600 and chown the file to the user that runs tradebot"
# Beyond these a keystore asks for more memory or time than any wallet writes.
_MAX_SCRYPT_MEMORY = 1 << 30
_MAX_ROUNDS = 10_000_000


class KeyMissing(NotPermitted):
    """There is no file where the key should be."""


class SigningKey:
    """A secp256k1 private key that signs digests and shows only its address."""

    __slots__ = ("_address", "_key")

    def __init__(self, secret: bytes) -> None:
        try:
            self._key = PrivateKey(secret)
        except ValueError:
            # The cause would carry the secret into a traceback.
            raise NotPermitted("the key is no valid secp256k1 private key", mend="make a new agent key") from None
        public = self._key.public_key.format(compressed=False)
        self._address = "0x" + keccak256(public[1:])[-20:].hex()

    @property
    def address(self) -> str:
        """The lower-case address that recovers from its signatures."""
        return self._address

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign 32 bytes as they are; deterministic (RFC 6979), low s."""
        raw = self._key.sign_recoverable(digest, hasher=None)
        return Signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:64], "big"), raw[64] + 27)

    def __repr__(self) -> str:
        return "SigningKey('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a signing key is not copied or stored")

    def __getstate__(self) -> NoReturn:
        raise TypeError("a signing key is not copied or stored")


def new_key() -> bytes:
    """Return the 32 bytes of a new key, from the randomness of the machine."""
    return bytes(PrivateKey().secret)


def read_key(path: Path, passphrase: Callable[[], str] | None = None) -> SigningKey:
    """Return the key in ``path``: 64 hex digits, ``0x`` optional, or an Ethereum keystore of version 3.

    ``passphrase`` is asked only for a keystore. Raises ``NotPermitted``, never quoting the content, when the
    file is missing, a link, another user's, readable by others, or holds no key.
    """
    text = _read_private(path)
    if text.lstrip().startswith(b"{"):
        return SigningKey(_open_keystore(path, text, passphrase))
    try:
        return key_of(text.decode("ascii"))
    except ValueError:
        raise NotPermitted(
            "neither 64 hex digits nor a keystore", where=str(path), mend="write the agent key into it"
        ) from None


def key_of(text: str) -> SigningKey:
    """Return the key that 64 hex digits are, ``0x`` optional.

    Raises ``ValueError``, never quoting them, for something else, ``NotPermitted`` for digits that are no key.
    """
    digits = text.strip().removeprefix("0x")
    try:
        secret = bytes.fromhex(digits) if len(digits) == 2 * _KEY_BYTES else b""
    except ValueError:
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise ValueError("no 64 hex digits")
    return SigningKey(secret)


def _read_private(path: Path) -> bytes:
    where = str(path)
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError as error:
        raise KeyMissing(f"cannot open the key file: {error.strerror}", where=where, mend=_LOCK_DOWN) from error
    except OSError as error:
        raise NotPermitted(f"cannot open the key file: {error.strerror}", where=where, mend=_LOCK_DOWN) from error
    try:
        # Asked of the open file, so that nobody can swap it in between.
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise NotPermitted("the key file is no regular file", where=where, mend=_LOCK_DOWN)
        if status.st_uid != os.geteuid():
            raise NotPermitted(f"the key file belongs to user {status.st_uid}", where=where, mend=_LOCK_DOWN)
        if status.st_mode & 0o077:
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            raise NotPermitted(f"the key file has mode {mode}: others may read it", where=where, mend=_LOCK_DOWN)
        return os.read(handle, _MAX_FILE)
    finally:
        os.close(handle)


def _open_keystore(path: Path, text: bytes, passphrase: Callable[[], str] | None) -> bytes:
    where = str(path)
    if passphrase is None:
        raise NotPermitted("the keystore needs a passphrase", where=where, mend="give one, or use a file of hex digits")
    try:
        document = orjson.loads(text)
        if document["version"] != 3:
            raise ValueError("version")
        return _decrypt(document.get("crypto") or document["Crypto"], passphrase())
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        # The cause could quote parts of the keystore.
        raise NotPermitted(
            "not an Ethereum keystore of version 3, or not its passphrase", where=where, mend="check both"
        ) from None


def _decrypt(crypto: dict[str, object], passphrase: str) -> bytes:
    if crypto["cipher"] != "aes-128-ctr":
        raise ValueError("cipher")
    derived = _derive(crypto, passphrase.encode())
    sealed = bytes.fromhex(str(crypto["ciphertext"]))
    if not hmac.compare_digest(keccak256(derived[16:32] + sealed).hex(), str(crypto["mac"]).lower()):
        raise ValueError("mac")
    params = crypto["cipherparams"]
    if not isinstance(params, dict):
        raise ValueError("cipherparams")
    counter = bytes.fromhex(str(params["iv"]))
    cipher = AES.new(derived[:16], AES.MODE_CTR, nonce=b"", initial_value=counter)
    return bytes(cipher.decrypt(sealed))


def _derive(crypto: dict[str, object], passphrase: bytes) -> bytes:
    params = crypto["kdfparams"]
    if not isinstance(params, dict) or params["dklen"] != _KEY_BYTES:
        raise ValueError("kdfparams")
    salt = bytes.fromhex(params["salt"])
    if crypto["kdf"] == "scrypt":
        n, r, p = params["n"], params["r"], params["p"]
        memory = 128 * r * (n + p + 2)
        if memory > _MAX_SCRYPT_MEMORY:
            raise ValueError("scrypt")
        return hashlib.scrypt(passphrase, salt=salt, n=n, r=r, p=p, maxmem=memory + (1 << 20), dklen=_KEY_BYTES)
    if crypto["kdf"] == "pbkdf2" and params["prf"] == "hmac-sha256" and 0 < params["c"] <= _MAX_ROUNDS:
        return hashlib.pbkdf2_hmac("sha256", passphrase, salt, params["c"], _KEY_BYTES)
    raise ValueError("kdf")
