#!/usr/bin/env python3
"""Compares the vectors with independent implementations: pyhpke, cbor2, hashlib, cryptography.

Opens and re-makes every message of seal.json and every reply of reply.json, seals a fresh one as seal.py does,
re-encodes descriptors and statements, rebuilds the trees of batch.json from their definition, and derives the ids and
nonces. Judges the answers of issue.json, replies.json and statements.json by the protocol's rules: see answers.py.
Prints what it checked; exits with 1 at the first difference.
"""

import hashlib
import json
import pathlib
import sys

import cbor2
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pyhpke.exceptions import PyHPKEError

import answers
import suite
from seal import seal
from suite import check

VECTORS = pathlib.Path(__file__).resolve().parent.parent / "vectors" / "v1"


def main() -> int:
    for name, checks in [
        ("key-descriptor.json", descriptors),
        ("ids.json", ids),
        ("batch.json", batch),
        ("seal.json", sealed),
        ("reply.json", replies),
        ("issue.json", answers.issue),
        ("replies.json", answers.replies),
        ("statements.json", answers.statements),
        ("trust.json", answers.trust),
    ]:
        vectors = json.loads((VECTORS / name).read_text(encoding="utf-8"))
        print(f"{name}: {checks(vectors)} hold")
    return 0


def h(*parts: bytes) -> bytes:
    return hashlib.sha384(b"".join(parts)).digest()


def lp(part: bytes) -> bytes:
    return len(part).to_bytes(4, "big") + part


def un(text: str) -> bytes:
    return bytes.fromhex(text)


def descriptors(vectors: dict) -> str:
    for case in vectors["valid"]:
        f = case["fields"]
        to = f["release_to"]
        fields = {
            0: "ok2cry/key/v1",
            1: un(f["key_id"]),
            2: f["suite"],
            3: un(f["public_key"]),
            4: f["issued_at"],
            5: f["expires_at"],
            6: f["purpose"],
            7: [0] if to == "caller" else [1, to["suite"], un(to["public_key"])],
            8: un(f["client_nonce"]),
        }
        check(case["name"], cbor2.dumps(fields, canonical=True) == un(case["encoding"]))
        check(case["name"], h(un(case["encoding"])) == un(case["hash"]))
        suite.public_key(un(f["public_key"]))
    return f"{len(vectors['valid'])} encodings"


def ids(vectors: dict) -> str:
    for case in vectors["instance_ids"]:
        check("instance_id", h(b"ok2cry v1 instance", un(case["log_key"]))[:8] == un(case["instance_id"]))
    for case in vectors["nonces"]:
        nonce, count = un(case["nonce"]), case["count"]
        derived = [h(b"ok2cry v1 nonce", nonce, i.to_bytes(4, "big")) for i in range(count)] if count > 1 else [nonce]
        check("nonces", derived == [un(n) for n in case["client_nonces"]])
    for case in vectors["statements"]["valid"]:
        fields = {0: "ok2cry/statement/v1", 1: un(case["nonce"]), 2: case["time"]}
        check(case["name"], cbor2.dumps(fields, canonical=True) == un(case["encoding"]))
    return f"{len(vectors['instance_ids'])} ids, {len(vectors['nonces'])} derivations of nonces, " \
        f"{len(vectors['statements']['valid'])} statements"


def batch(vectors: dict) -> str:
    def record(i: int) -> bytes:
        fields = {0: "ok2cry/statement/v1", 1: i.to_bytes(16, "big"), 2: 1_800_000_000_000 + i}
        return cbor2.dumps(fields, canonical=True)

    def mth(leaves: list[bytes]) -> bytes:
        """RFC 9162 section 2.1.1."""
        if len(leaves) == 1:
            return leaves[0]
        k = split(len(leaves))
        return h(b"\1", mth(leaves[:k]), mth(leaves[k:]))

    def path(m: int, leaves: list[bytes]) -> list[bytes]:
        """RFC 9162 section 2.1.3.1."""
        if len(leaves) == 1:
            return []
        k = split(len(leaves))
        if m < k:
            return path(m, leaves[:k]) + [mth(leaves[k:])]
        return path(m - k, leaves[k:]) + [mth(leaves[:k])]

    def split(n: int) -> int:
        return 1 << (n - 1).bit_length() - 1

    places = 0
    for tree in vectors["trees"]:
        leaves = [h(b"\0", record(i)) for i in range(tree["size"])]
        root = mth(leaves)
        check("root", root == un(tree["root"]))
        user_data = {0: "ok2cry/batch/v1", 1: root, 2: tree["size"], 3: 0, 4: hashlib.sha256().digest()}
        check("user_data", cbor2.dumps(user_data, canonical=True) == un(tree["user_data"]))
        for case in tree["inclusions"]:
            check("record", record(case["index"]) == un(case["record"]))
            check("path", path(case["index"], leaves) == [un(node) for node in case["path"]])
            places += 1
    return f"{len(vectors['trees'])} trees, {places} paths"


def key_pair(case: dict):
    """The key pair that `ikm` derives, checked."""
    pair = suite.HPKE.kem.derive_key_pair(un(case["ikm"]))
    check("public_key", pair.public_key.to_public_bytes() == un(case["public_key"]))
    check("private_key", int.from_bytes(pair.private_key.to_private_bytes(), "big") == int(case["private_key"], 16))
    return pair


def sealed(vectors: dict) -> str:
    key = key_pair(vectors["key"])
    for case in vectors["sealed"]:
        descriptor, aad, plaintext = un(case["descriptor"]), un(case["aad"]), un(case["plaintext"])
        info, enc, ciphertext = un(case["info"]), un(case["enc"]), un(case["ciphertext"])
        check("info", info == b"ok2cry v1 seal" + h(descriptor))
        digest = h(b"ok2cry v1 request", h(descriptor), lp(enc), lp(aad), lp(ciphertext))
        check("request_digest", digest == un(case["request_digest"]))
        opened = suite.HPKE.create_recipient_context(enc, key.private_key, info).open(ciphertext, aad)
        check(f"{case['name']} opens", opened == plaintext)
        again, sender = suite.HPKE.create_sender_context(key.public_key, info, eks=key_pair(case["ephemeral"]))
        check(f"{case['name']} seals", (again, sender.seal(plaintext, aad)) == (enc, ciphertext))
        # And with a fresh ephemeral key, as a client does.
        enc, ciphertext = seal(descriptor, aad, plaintext)
        opened = suite.HPKE.create_recipient_context(enc, key.private_key, info).open(ciphertext, aad)
        check(f"{case['name']} sealed anew opens", opened == plaintext)
    for case in vectors["must_not_open"]:
        recipient = suite.HPKE.create_recipient_context(
            un(case["enc"]), key.private_key, b"ok2cry v1 seal" + h(un(case["descriptor"]))
        )
        try:
            recipient.open(un(case["ciphertext"]), un(case["aad"]))
        except PyHPKEError:
            continue
        raise SystemExit(f"opens: {case['name']}")
    return f"{len(vectors['sealed'])} messages, {len(vectors['must_not_open'])} refusals"


def replies(vectors: dict) -> str:
    recipient, context = key_pair(vectors["recipient"]), vectors["context"]
    info = b"ok2cry v1 reply" + un(context["instance_id"]) + un(context["context_id"])
    check("instance_id", h(b"ok2cry v1 instance", un(context["log_key"]))[:8] == un(context["instance_id"]))
    check("info", info == un(context["info"]))
    fields = {
        0: "ok2cry/reply-context/v1",
        1: un(context["context_id"]),
        2: context["suite"],
        3: un(context["recipient"]),
        4: un(context["enc"]),
        5: context["created_at"],
        6: context["expires_at"],
    }
    check("context record", cbor2.dumps(fields, canonical=True) == un(context["record"]))
    enc, sender = suite.HPKE.create_sender_context(recipient.public_key, info, eks=key_pair(context["ephemeral"]))
    check("enc", enc == un(context["enc"]))
    receiver = suite.HPKE.create_recipient_context(enc, recipient.private_key, info)
    for case in vectors["replies"]:
        name, aad, digest = case["name"], un(case["aad"]), un(case["request_digest"])
        binding = h(un(case["descriptor"])) + h(aad) + digest
        check(f"{name}: binding", binding == un(case["binding"]))
        secret = receiver.export(b"ok2cry v1 reply" + binding, 44)
        check(f"{name}: secret", secret == sender.export(b"ok2cry v1 reply" + binding, 44) == un(case["secret"]))
        ciphertext = AESGCM(secret[:32]).encrypt(secret[32:], un(case["plaintext"]), binding)
        check(f"{name}: ciphertext", ciphertext == un(case["ciphertext"]))
        fields = {
            0: "ok2cry/reply/v1",
            1: un(context["context_id"]),
            2: un(case["descriptor"]),
            3: aad,
            4: digest,
            5: ciphertext,
        }
        check(f"{name}: record", cbor2.dumps(fields, canonical=True) == un(case["record"]))
    for case in vectors["must_be_refused"]:
        check(f"{case['name']} is refused", open_reply(case, recipient) is None)
    return f"{len(vectors['replies'])} replies, {len(vectors['must_be_refused'])} refusals"


def open_reply(case: dict, recipient) -> bytes | None:
    """Opens a reply whose document was accepted before. None if it must be refused."""
    context, reply = cbor2.loads(un(case["context"])), cbor2.loads(un(case["reply"]))
    instance, descriptor = un(case["instance_id"]), cbor2.loads(reply[2])
    own = recipient.public_key.to_public_bytes()
    if reply[1] != context[1] or descriptor[1][:8] != instance or context[3] != own or descriptor[7][2] != own:
        return None
    receiver = suite.HPKE.create_recipient_context(
        context[4], recipient.private_key, b"ok2cry v1 reply" + instance + context[1]
    )
    binding = h(reply[2]) + h(reply[3]) + reply[4]
    secret = receiver.export(b"ok2cry v1 reply" + binding, 44)
    try:
        return AESGCM(secret[:32]).decrypt(secret[32:], reply[5], binding)
    except InvalidTag:
        return None


if __name__ == "__main__":
    sys.exit(main())
