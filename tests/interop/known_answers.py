#!/usr/bin/env python3
"""Known answers for HPKE base mode with the protocol's suite, in the shape of RFC 9180's own test vectors.

RFC 9180 publishes none for DHKEM(P-384, HKDF-SHA384) with AES-256-GCM. Every value here is computed twice: by the
functions below, which follow RFC 9180 section by section over OpenSSL's P-384 and AES and Python's hmac; and by
pyhpke, as far as it shows them. The Rust tests then hold the `hpke` crate to the file.

    known_answers.py           write ../vectors/v1/hpke.json
    known_answers.py --check   exit 1 if the file is not what would be written
"""

import hashlib
import hmac
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import suite
from suite import check

FILE = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "v1" / "hpke.json"
ORDER = int(
    "ffffffffffffffffffffffffffffffffffffffffffffffff"
    "c7634d81f4372ddf581a0db248b0a77aecec196accc52973",
    16,
)
KEM_SUITE = b"KEM" + (0x0011).to_bytes(2, "big")
HPKE_SUITE = b"HPKE" + b"".join(n.to_bytes(2, "big") for n in suite.NUMBERS)


def extract(salt: bytes, ikm: bytes) -> bytes:
    """HKDF-Extract (RFC 5869 section 2.2)."""
    return hmac.new(salt or bytes(48), ikm, hashlib.sha384).digest()


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand (RFC 5869 section 2.3)."""
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([counter]), hashlib.sha384).digest()
        out, counter = out + block, counter + 1
    return out[:length]


def labeled_extract(suite_id: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    """RFC 9180 section 4."""
    return extract(salt, b"HPKE-v1" + suite_id + label + ikm)


def labeled_expand(suite_id: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    """RFC 9180 section 4."""
    return expand(prk, length.to_bytes(2, "big") + b"HPKE-v1" + suite_id + label + info, length)


def derive_key_pair(ikm: bytes) -> tuple[int, bytes]:
    """RFC 9180 section 7.1.3: the scalar and the uncompressed point."""
    prk = labeled_extract(KEM_SUITE, b"", b"dkp_prk", ikm)
    for counter in range(256):
        scalar = int.from_bytes(labeled_expand(KEM_SUITE, prk, b"candidate", bytes([counter]), 48), "big")
        if 0 < scalar < ORDER:
            return scalar, point(scalar)
    raise ValueError("no scalar in 256 candidates")


def point(scalar: int) -> bytes:
    return suite.public_bytes(ec.derive_private_key(scalar, ec.SECP384R1()).public_key())


def encap(ephemeral: int, recipient: bytes) -> tuple[bytes, bytes]:
    """RFC 9180 section 4.1: the shared secret and the encapsulated key."""
    private = ec.derive_private_key(ephemeral, ec.SECP384R1())
    dh = private.exchange(ec.ECDH(), ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), recipient))
    enc = point(ephemeral)
    prk = labeled_extract(KEM_SUITE, b"", b"eae_prk", dh)
    return labeled_expand(KEM_SUITE, prk, b"shared_secret", enc + recipient, 48), enc


def key_schedule(shared_secret: bytes, info: bytes) -> dict[str, bytes]:
    """RFC 9180 section 5.1, base mode."""
    psk_id_hash = labeled_extract(HPKE_SUITE, b"", b"psk_id_hash", b"")
    info_hash = labeled_extract(HPKE_SUITE, b"", b"info_hash", info)
    context = b"\0" + psk_id_hash + info_hash
    secret = labeled_extract(HPKE_SUITE, shared_secret, b"secret", b"")
    return {
        "key_schedule_context": context,
        "secret": secret,
        "key": labeled_expand(HPKE_SUITE, secret, b"key", context, 32),
        "base_nonce": labeled_expand(HPKE_SUITE, secret, b"base_nonce", context, 12),
        "exporter_secret": labeled_expand(HPKE_SUITE, secret, b"exp", context, 48),
    }


def case(name: str, label: str, info: bytes) -> dict:
    ikm_r, ikm_e = (hashlib.sha384(f"ok2cry vectors v1 {label} {who}".encode()).digest() for who in ("R", "E"))
    (sk_r, pk_r), (sk_e, pk_e) = derive_key_pair(ikm_r), derive_key_pair(ikm_e)
    shared_secret, enc = encap(sk_e, pk_r)
    schedule = key_schedule(shared_secret, info)
    encryptions = []
    for sequence, aad, pt in [(0, b"Count-0", b"1234"), (1, b"", b""), (2, b"Count-2", bytes(range(256)))]:
        nonce = bytes(a ^ b for a, b in zip(schedule["base_nonce"], sequence.to_bytes(12, "big")))
        ct = AESGCM(schedule["key"]).encrypt(nonce, pt, aad)
        encryptions.append({"sequence": sequence, "aad": aad, "pt": pt, "nonce": nonce, "ct": ct})
    exports = []
    for exporter_context, length in [(b"", 32), (b"\0", 48), (b"ok2cry v1 reply" + bytes(144), 44)]:
        value = labeled_expand(HPKE_SUITE, schedule["exporter_secret"], b"sec", exporter_context, length)
        exports.append({"exporter_context": exporter_context, "L": length, "exported_value": value})
    return {
        "name": name,
        "mode": 0,
        "info": info,
        "ikmR": ikm_r,
        "skRm": sk_r.to_bytes(48, "big"),
        "pkRm": pk_r,
        "ikmE": ikm_e,
        "skEm": sk_e.to_bytes(48, "big"),
        "pkEm": pk_e,
        "enc": enc,
        "shared_secret": shared_secret,
        **schedule,
        "encryptions": encryptions,
        "exports": exports,
    }


def confirm(answers: dict) -> None:
    """Has pyhpke compute the same."""
    pair_r, pair_e = (suite.HPKE.kem.derive_key_pair(answers[ikm]) for ikm in ("ikmR", "ikmE"))
    for pair, scalar, public in [(pair_r, "skRm", "pkRm"), (pair_e, "skEm", "pkEm")]:
        check(scalar, int.from_bytes(pair.private_key.to_private_bytes(), "big") == int.from_bytes(answers[scalar], "big"))
        check(public, pair.public_key.to_public_bytes() == answers[public])
    encapsulated = suite.HPKE.kem.encap(pair_r.public_key, None, pair_e)
    check("shared_secret and enc", encapsulated == (answers["shared_secret"], answers["enc"]))
    enc, sender = suite.HPKE.create_sender_context(pair_r.public_key, answers["info"], eks=pair_e)
    recipient = suite.HPKE.create_recipient_context(enc, pair_r.private_key, answers["info"])
    for e in answers["encryptions"]:
        check("ct", sender.seal(e["pt"], e["aad"]) == e["ct"])
        check("pt", recipient.open(e["ct"], e["aad"]) == e["pt"])
    for e in answers["exports"]:
        check("sender's export", sender.export(e["exporter_context"], e["L"]) == e["exported_value"])
        check("recipient's export", recipient.export(e["exporter_context"], e["L"]) == e["exported_value"])


def file() -> str:
    cases = [
        case("a message to a key", "known answers seal", b"ok2cry v1 seal" + hashlib.sha384(b"descriptor").digest()),
        case("a reply context", "known answers reply", b"ok2cry v1 reply" + bytes(range(24))),
        case("no info", "known answers empty", b""),
    ]
    for answers in cases:
        confirm(answers)
    content = {
        "about": "HPKE base mode, DHKEM(P-384, HKDF-SHA384), HKDF-SHA384, AES-256-GCM, named as in RFC 9180's test vectors.",
        "made_by": "tests/interop/known_answers.py: RFC 9180 over cryptography 50.0.2 (OpenSSL) and Python's hmac",
        "confirmed_by": "pyhpke 0.6.5: everything but key_schedule_context, secret, key, base_nonce, nonce and "
        "exporter_secret, which it does not show; hpke 0.15.1 (Rust, RustCrypto primitives): key pairs, plaintexts "
        "and exported values",
        "suite": list(suite.NUMBERS),
        "cases": cases,
    }
    return json.dumps(content, indent=2, default=bytes.hex) + "\n"


def main() -> int:
    if sys.argv[1:] == []:
        FILE.write_text(file(), encoding="utf-8")
        print(f"wrote {FILE.name}")
        return 0
    if sys.argv[1:] == ["--check"]:
        same = FILE.read_text(encoding="utf-8") == file()
        print(f"{FILE.name} is {'' if same else 'not '}as generated")
        return 0 if same else 1
    print("usage: known_answers.py [--check]", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
