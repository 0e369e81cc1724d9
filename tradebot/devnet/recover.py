"""Who signed: digests of L1 and user-signed actions, and the address behind a signature.

L1 actions are hashed as MessagePack with nonce, vault and expiry into the ``connectionId`` of a phantom agent;
user-signed ones are EIP-712 messages of their own. This is the exchange's side, written apart from the client's.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coincurve import PublicKey
from Crypto.Hash import keccak as _keccak  # of pycryptodome  # nosec B413

from tradebot.devnet.wire import Json, Malformed, read_address, read_bool, read_int, read_object, read_scalar, read_str

MAINNET_SOURCE, TESTNET_SOURCE = "a", "b"
_L1_CHAIN = 1337
_WORD = 32
_CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Unrecoverable(Exception):
    """No key could have made this signature."""


@dataclass(frozen=True, slots=True)
class RecoverableSignature:
    """An ECDSA signature; ``v`` is 27 or 28."""

    r: int
    s: int
    v: int


USER_SIGNED: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "usdSend": ("UsdSend", (("destination", "string"), ("amount", "string"), ("time", "uint64"))),
    "spotSend": (
        "SpotSend",
        (("destination", "string"), ("token", "string"), ("amount", "string"), ("time", "uint64")),
    ),
    "withdraw3": ("Withdraw", (("destination", "string"), ("amount", "string"), ("time", "uint64"))),
    "usdClassTransfer": ("UsdClassTransfer", (("amount", "string"), ("toPerp", "bool"), ("nonce", "uint64"))),
    "approveAgent": (
        "ApproveAgent",
        (("agentAddress", "address"), ("agentName", "string"), ("nonce", "uint64")),
    ),
    "approveBuilderFee": (
        "ApproveBuilderFee",
        (("maxFeeRate", "string"), ("builder", "address"), ("nonce", "uint64")),
    ),
    "userDexAbstraction": ("UserDexAbstraction", (("user", "address"), ("enabled", "bool"), ("nonce", "uint64"))),
    "userSetAbstraction": ("UserSetAbstraction", (("user", "address"), ("abstraction", "string"), ("nonce", "uint64"))),
}
"""Primary type and fields, after ``hyperliquidChain``, of each user-signed action; the last is the nonce."""


def keccak(data: bytes) -> bytes:
    """Return the Keccak-256 of ``data``."""
    return _keccak.new(digest_bits=256, data=data).digest()


def read_signature(value: object) -> RecoverableSignature:
    """Return the signature of an envelope. Raises ``Malformed``."""
    source = read_object(value)
    return RecoverableSignature(read_scalar(source.get("r")), read_scalar(source.get("s")), read_int(source.get("v")))


def recover(digest: bytes, signature: RecoverableSignature) -> str:
    """Return the address that signed ``digest``, in lower case. Raises ``Unrecoverable``."""
    r, s, v = signature.r, signature.s, signature.v
    if v not in (27, 28) or not (0 < r < _CURVE_ORDER and 0 < s < _CURVE_ORDER):
        raise Unrecoverable
    packed = r.to_bytes(_WORD, "big") + s.to_bytes(_WORD, "big") + bytes([v - 27])
    try:
        key = PublicKey.from_signature_and_message(packed, digest, hasher=None)
    except ValueError as error:
        raise Unrecoverable from error
    return address_of(key)


def address_of(key: PublicKey) -> str:
    """Return the address of a public key, in lower case."""
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


def pack(value: object) -> bytes:
    """Return ``value`` as MessagePack: booleans, integers, texts, lists and dicts in their order.

    >>> pack({"a": 1}).hex()
    '81a16101'
    """
    match value:
        case None:
            return b"\xc0"
        case bool():
            return b"\xc3" if value else b"\xc2"
        case int():
            return _pack_int(value)
        case str():
            text = value.encode()
            return _head(len(text), 0xA0, 32, (0xD9, 0xDA, 0xDB)) + text
        case list():
            return _head(len(value), 0x90, 16, (None, 0xDC, 0xDD)) + b"".join(map(pack, value))
        case dict():
            items = b"".join(pack(key) + pack(item) for key, item in value.items())
            return _head(len(value), 0x80, 16, (None, 0xDE, 0xDF)) + items
    raise TypeError(f"{type(value).__name__} is not packed")


def action_digest(action: Json, nonce: int, vault: str | None, expires_after: int | None) -> bytes:
    """Return the ``connectionId`` of a canonical L1 action."""
    data = pack(action) + struct.pack(">Q", nonce)
    data += b"\x00" if vault is None else b"\x01" + bytes.fromhex(vault[2:])
    if expires_after is not None:
        data += b"\x00" + struct.pack(">Q", expires_after)
    return keccak(data)


def l1_digest(connection_id: bytes, source: str) -> bytes:
    """Return what is signed for an L1 action: the phantom agent on the chain that ``source`` names."""
    fields = (("source", "string"), ("connectionId", "bytes32"))
    message = _struct("Agent", fields, (source, connection_id))
    return _typed(_domain("Exchange", _L1_CHAIN), message)


def user_digest(action: Json, chain: str) -> bytes:
    """Return what is signed for a user-signed action on ``chain``. Raises ``Malformed``."""
    name, fields = USER_SIGNED[read_str(action["type"])]
    chain_id = read_scalar(action.get("signatureChainId"))
    values = [chain, *(_user_value(action, key, kind) for key, kind in fields)]
    message = _struct(f"HyperliquidTransaction:{name}", (("hyperliquidChain", "string"), *fields), values)
    return _typed(_domain("HyperliquidSignTransaction", chain_id), message)


def _user_value(action: Json, key: str, kind: str) -> object:
    value = action.get(key)
    if key == "agentName" and value is None:
        return ""
    match kind:
        case "string":
            return read_str(value)
        case "uint64":
            return read_int(value)
        case "bool":
            return read_bool(value)
    return read_address(value)


def _typed(domain: bytes, message: bytes) -> bytes:
    return keccak(b"\x19\x01" + domain + message)


def _domain(name: str, chain_id: int) -> bytes:
    fields = (("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address"))
    return _struct("EIP712Domain", fields, (name, "1", chain_id, "0x" + "0" * 40))


def _struct(name: str, fields: Sequence[tuple[str, str]], values: Sequence[object]) -> bytes:
    signature = f"{name}({','.join(f'{kind} {key}' for key, kind in fields)})"
    words = b"".join(_word(kind, value) for (_, kind), value in zip(fields, values, strict=True))
    return keccak(keccak(signature.encode()) + words)


def _word(kind: str, value: object) -> bytes:
    match value:
        case str() if kind == "address":
            return bytes.fromhex(value[2:]).rjust(_WORD, b"\x00")
        case str():
            return keccak(value.encode())
        case bytes():
            return value
        case int():
            return int(value).to_bytes(_WORD, "big")
    raise Malformed(f"{value!r} cannot be signed as {kind}")


def _pack_int(value: int) -> bytes:
    if 0 <= value < 0x80:
        return bytes([value])
    if -0x20 <= value < 0:
        return struct.pack(">b", value)
    unsigned, signed = (
        ((0xCC, ">B"), (0xCD, ">H"), (0xCE, ">I"), (0xCF, ">Q")),
        (
            (0xD0, ">b"),
            (0xD1, ">h"),
            (0xD2, ">i"),
            (0xD3, ">q"),
        ),
    )
    for code, layout in unsigned if value >= 0 else signed:
        try:
            return bytes([code]) + struct.pack(layout, value)
        except struct.error:
            continue
    raise Malformed(f"{value} does not fit 64 bits")


def _head(length: int, fixed: int, below: int, codes: tuple[int | None, int, int]) -> bytes:
    if length < below:
        return bytes([fixed | length])
    small, middle, large = codes
    if small is not None and length < 0x100:
        return bytes([small, length])
    if length < 0x10000:
        return bytes([middle]) + struct.pack(">H", length)
    return bytes([large]) + struct.pack(">I", length)
