#!/usr/bin/env python3
"""Seals one message to a disposable key, with an independent HPKE implementation.

    seal.py DESCRIPTOR_HEX AAD_HEX PLAINTEXT_HEX
    seal.py < {"descriptor": …, "aad": …, "plaintext": …}     (JSON, base64url without padding)

Prints the body of `POST /v1/keys/{id}/open` without its aad: {"enc", "ciphertext"}, base64url without padding.

For tests only: it verifies nothing. A client seals to a key that it has verified.
"""

import base64
import hashlib
import json
import sys

import cbor2

import suite


def seal(descriptor: bytes, aad: bytes, plaintext: bytes) -> tuple[bytes, bytes]:
    """The encapsulated key and the ciphertext."""
    recipient = suite.public_key(cbor2.loads(descriptor)[3])
    info = suite.SEAL + hashlib.sha384(descriptor).digest()
    enc, sender = suite.HPKE.create_sender_context(recipient, info)
    return enc, sender.seal(plaintext, aad)


def main() -> int:
    if len(sys.argv) == 4:
        descriptor, aad, plaintext = (bytes.fromhex(argument) for argument in sys.argv[1:])
    elif len(sys.argv) == 1:
        message = json.load(sys.stdin)
        descriptor, aad, plaintext = (decode(message[name]) for name in ("descriptor", "aad", "plaintext"))
    else:
        print(__doc__, file=sys.stderr)
        return 2
    enc, ciphertext = seal(descriptor, aad, plaintext)
    print(json.dumps({"enc": encode(enc), "ciphertext": encode(ciphertext)}))
    return 0


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


if __name__ == "__main__":
    sys.exit(main())
