"""What is hashed and signed for ``/exchange``: nothing but the bytes the venue will recompute.

Trading actions are msgpack in canonical key order, hashed together with nonce, vault and expiry into the
``connectionId`` of a phantom agent (EIP-712, chain 1337). User-signed actions are EIP-712 by themselves.
The result is that of the official SDK, bit for bit.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgpack  # type: ignore[import-untyped]  # it ships no types
from Crypto.Hash import keccak  # of pycryptodome  # nosec B413
from Crypto.Hash.keccak import _raw_keccak_lib  # type: ignore[attr-defined]  # pycryptodome, not in its stubs  # nosec B413
from Crypto.Util._raw_api import (  # type: ignore[attr-defined]  # pycryptodome, not all in its stubs  # nosec B413
    SmartPointer,
    VoidPointer,
    c_size_t,
    c_ubyte,
    c_uint8_ptr,
    create_string_buffer,
    get_raw_buffer,
)

from tradebot.model.errors import InvariantError, NotPermitted

Action = Mapping[str, object]
"""An action as JSON, its keys in the venue's order."""

Hash = Callable[[bytes], bytes]

ALLOWED_ACTIONS = frozenset(
    {
        "order",
        "cancel",
        "cancelByCloid",
        "modify",
        "batchModify",
        "scheduleCancel",
        "updateLeverage",
        "updateIsolatedMargin",
        "noop",
    }
)
"""What a trading daemon signs. Nothing here moves money out of the account."""

_ADDRESS_BYTES = 20
_WORD = 32
_ROUNDS, _PADDING = 24, 1


class Signature(NamedTuple):
    """An ECDSA signature over a 32-byte digest, with its recovery byte 27 or 28."""

    r: int
    s: int
    v: int

    def wire(self) -> dict[str, object]:
        """Return it as the venue and the SDK write it: hex without padding."""
        return {"r": hex(self.r), "s": hex(self.s), "v": self.v}


class DigestSigner(Protocol):
    """Whoever holds the private key."""

    @property
    def address(self) -> str:
        """The lower-case address that recovers from its signatures."""
        ...

    def sign_digest(self, digest: bytes) -> Signature:
        """Sign 32 bytes as they are."""
        ...


def keccak256(data: bytes) -> bytes:
    """Return Ethereum's hash of ``data``, 32 bytes."""
    return keccak.new(data=data, digest_bits=256).digest()


class Keccak:
    """Keccak-256 over one state, reset for each hash: half the time of a new object. For one thread at a time.

    What that takes of private names is measured by ``python -m benchmarks private``.
    """

    __slots__ = ("_out", "_state")

    def __init__(self) -> None:
        state = VoidPointer()
        if _raw_keccak_lib.keccak_init(state.address_of(), c_size_t(2 * _WORD), c_ubyte(_ROUNDS)):
            raise InvariantError("keccak cannot be set up")
        self._state = SmartPointer(state.get(), _raw_keccak_lib.keccak_destroy)
        self._out = create_string_buffer(_WORD)  # type: ignore[call-arg]  # its stubs name another

    def __call__(self, data: bytes) -> bytes:
        """Return the hash of ``data``, as ``keccak256`` does."""
        state, out = self._state.get(), self._out
        if (
            _raw_keccak_lib.keccak_reset(state)
            or _raw_keccak_lib.keccak_absorb(state, c_uint8_ptr(data), c_size_t(len(data)))
            or _raw_keccak_lib.keccak_digest(state, out, c_size_t(_WORD), c_ubyte(_PADDING))
        ):
            raise InvariantError("keccak failed")
        hashed: bytes = get_raw_buffer(out)
        return hashed


def address_bytes(address: str) -> bytes:
    """Return the 20 bytes of a hex ``address``, ``0x`` optional. Raises ``ValueError`` on anything else."""
    raw = bytes.fromhex(address.removeprefix("0x"))
    if len(raw) != _ADDRESS_BYTES:
        raise ValueError(f"address {address!r} has {len(raw)} bytes, not {_ADDRESS_BYTES}")
    return raw


def connection_id(
    action: Action, nonce: int, vault: str | None, expires_after: int | None, hashed: Hash = keccak256
) -> bytes:
    """Return the hash that names an action: two actions differ in it if they differ in anything."""
    packed: bytes = msgpack.packb(action)
    parts = [packed, nonce.to_bytes(8, "big")]
    parts.append(b"\x00" if vault is None else b"\x01" + address_bytes(vault))
    if expires_after is not None:
        parts.append(b"\x00" + expires_after.to_bytes(8, "big"))
    return hashed(b"".join(parts))


def _domain(name: str, chain_id: int) -> bytes:
    kind = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    words = (keccak256(kind), keccak256(name.encode()), keccak256(b"1"), chain_id.to_bytes(_WORD, "big"), bytes(_WORD))
    return keccak256(b"".join(words))


_AGENT_TYPE = keccak256(b"Agent(string source,bytes32 connectionId)")
# Everything of the two digests that does not depend on the action.
_L1_PREFIX = b"\x19\x01" + _domain("Exchange", 1337)
_AGENT_PREFIX = {True: _AGENT_TYPE + keccak256(b"a"), False: _AGENT_TYPE + keccak256(b"b")}


def l1_digest(
    action: Action,
    nonce: int,
    *,
    vault: str | None = None,
    expires_after: int | None = None,
    is_mainnet: bool,
    hashed: Hash = keccak256,
) -> bytes:
    """Return the 32 bytes to sign for a trading action."""
    agent = hashed(_AGENT_PREFIX[is_mainnet] + connection_id(action, nonce, vault, expires_after, hashed))
    return hashed(_L1_PREFIX + agent)


class ActionSigner:
    """Signs trading actions of one network, and refuses all other actions by name."""

    __slots__ = ("_hashed", "_is_mainnet", "_key")

    def __init__(self, key: DigestSigner, *, is_mainnet: bool) -> None:
        self._key = key
        self._is_mainnet = is_mainnet
        self._hashed = Keccak()

    @property
    def is_mainnet(self) -> bool:
        """Whether it signs for real money."""
        return self._is_mainnet

    @property
    def address(self) -> str:
        """The lower-case address of the key: an agent's, or the account's own."""
        return self._key.address

    def sign(
        self, action: Action, nonce: int, *, expires_after: int | None = None, vault: str | None = None
    ) -> Signature:
        """Return the signature of ``action``. Raises ``NotPermitted`` unless it is one of ``ALLOWED_ACTIONS``."""
        if action.get("type") not in ALLOWED_ACTIONS:
            raise NotPermitted(
                f"a trading daemon does not sign {action.get('type')!r}", mend="do it with a wallet, as the owner"
            )
        digest = l1_digest(
            action,
            nonce,
            vault=vault,
            expires_after=expires_after,
            is_mainnet=self._is_mainnet,
            hashed=self._hashed,
        )
        return self._key.sign_digest(digest)
