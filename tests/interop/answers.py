"""Judges the answers of issue.json, replies.json and statements.json by docs/protocol.md, and the texts of trust.json.

Written from the page, with libraries that the client does not use. It judges acceptances completely, and refusals by the rules
of the protocol. It does not judge refusals by the attestation document's own checklist, by strict JSON or by strict records.
"""

import base64
import hashlib
import json

import cbor2
from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import load_der_public_key

import suite
from suite import check

# The rules that `judge` knows. Other codes are left out.
RULES = {
    "pcr_mismatch", "document_nonce_set", "user_data_invalid", "log_key_invalid", "document_signature_invalid",
    "root_not_trusted", "document_too_old", "key_count_mismatch", "not_in_batch", "instance_mismatch", "nonce_mismatch",
    "purpose_mismatch", "recipient_mismatch", "ttl_mismatch", "time_far_from_document", "key_expired",
    "reply_context_mismatch", "aad_mismatch", "reply_open_failed", "reply_replayed",
}  # fmt: skip
ED25519_SPKI = bytes.fromhex("302a300506032b6570032100")
MINUTE_MS = 60_000


class Refused(Exception):
    """A rule that does not hold: its code."""


def require(holds: bool, code: str) -> None:
    if not holds:
        raise Refused(code)


def h(*parts: bytes) -> bytes:
    return hashlib.sha384(b"".join(parts)).digest()


def un64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def issue(vectors: dict) -> str:
    return judge_all(vectors, judge_issue)


def replies(vectors: dict) -> str:
    return judge_all(vectors, judge_reply)


def statements(vectors: dict) -> str:
    return judge_all(vectors, judge_statement)


def judge_all(vectors: dict, judge) -> str:
    accepted = refused = 0
    for case in vectors["cases"]:
        expected = case["expected"]
        if "refused" in expected and expected["refused"] not in RULES:
            continue
        then = case.get("answer_then", {"text": "", "count": 0})
        answer = json.loads(case["answer"] + then["text"] * then["count"])
        try:
            verdict = {"accepted": judge(vectors, case, answer)}
            accepted += 1
        except Refused as error:
            verdict = {"refused": str(error)}
            refused += 1
        check(f"{case['name']}: {verdict} instead of {expected}", verdict == expected)
    return f"{accepted} acceptances, {refused} refusals of {len(vectors['cases'])} cases"


class Document:
    """An attestation document, accepted by the rules under "Attestation document"."""

    def __init__(self, vectors: dict, case: dict, encoded: bytes, max_age_ms: int | None):
        cose = cbor2.loads(encoded)
        protected, _, payload, signature = getattr(cose, "value", cose)
        self.fields = cbor2.loads(payload)
        root = bytes.fromhex(case.get("attestation_root", vectors["attestation_root"]))
        require(self.fields["cabundle"][0] == root, "root_not_trusted")
        self.check_chain()
        leaf = x509.load_der_x509_certificate(self.fields["certificate"])
        half = len(signature) // 2
        numbers = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        try:
            leaf.public_key().verify(utils.encode_dss_signature(*numbers), signed, ec.ECDSA(SHA384()))
        except InvalidSignature as error:
            raise Refused("document_signature_invalid") from error
        self.time_ms = self.fields["timestamp"]
        require(max_age_ms is None or case["now_ms"] - self.time_ms <= max_age_ms, "document_too_old")
        releases = case.get("releases", vectors["releases"])
        require(any(self.measures(release) for release in releases), "pcr_mismatch")
        require(self.fields.get("nonce") is None, "document_nonce_set")
        self.batch = self.header()
        key = self.fields.get("public_key")
        require(key is not None and len(key) == 44 and key.startswith(ED25519_SPKI), "log_key_invalid")
        self.instance = h(b"ok2cry v1 instance", key)[:8]

    def check_chain(self) -> None:
        chain = [*self.fields["cabundle"], self.fields["certificate"]]
        certificates = [x509.load_der_x509_certificate(der) for der in chain]
        for issuer, issued in zip(certificates, certificates[1:]):
            issued.verify_directly_issued_by(issuer)

    def measures(self, release: dict) -> bool:
        return all(self.fields["pcrs"].get(int(index)) == bytes.fromhex(value) for index, value in release.items())

    def header(self) -> dict:
        encoded = self.fields.get("user_data")
        try:
            header = cbor2.loads(encoded or b"")
            valid = (
                cbor2.dumps(header, canonical=True) == encoded
                and list(header) == [0, 1, 2, 3, 4]
                and header[0] == "ok2cry/batch/v1"
                and (len(header[1]), len(header[4])) == (48, 32)
                and 1 <= header[2] <= 4096
                and 0 <= header[3] < 1 << 53
            )
        except (cbor2.CBORError, TypeError, KeyError):
            valid = False
        require(valid, "user_data_invalid")
        return header

    def require_in_batch(self, record: bytes, place: dict) -> None:
        path = [un64(sibling) for sibling in place["path"]]
        sound = len(path) <= 12 and all(len(sibling) == 48 for sibling in path)
        require(sound and root_of_path(record, place["index"], self.batch[2], path) == self.batch[1], "not_in_batch")

    def require_near(self, time_ms: int) -> None:
        require(abs(self.time_ms - time_ms) <= MINUTE_MS, "time_far_from_document")


def root_of_path(record: bytes, index: int, size: int, path: list[bytes]) -> bytes | None:
    """RFC 9162 section 2.1.3.2."""
    if index >= size:
        return None
    node, last, root = index, size - 1, h(b"\0", record)
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            root = h(b"\1", sibling, root)
            while node and not node & 1:
                node, last = node >> 1, last >> 1
        else:
            root = h(b"\1", root, sibling)
        node, last = node >> 1, last >> 1
    return root if last == 0 else None


def judge_issue(vectors: dict, case: dict, answer: dict) -> list:
    """Accepting a key."""
    request = case["request"]
    document = Document(vectors, case, un64(answer["document"]), None)
    count, nonce = request["count"], bytes.fromhex(request["nonce"])
    require(len(answer["keys"]) == count, "key_count_mismatch")
    keys = []
    for number, key in enumerate(answer["keys"]):
        encoded = un64(key["descriptor"])
        document.require_in_batch(encoded, key)
        descriptor = cbor2.loads(encoded)
        require(descriptor[1][:8] == document.instance, "instance_mismatch")
        own = nonce if count == 1 else h(b"ok2cry v1 nonce", nonce, number.to_bytes(4, "big"))
        require(descriptor[8] == own, "nonce_mismatch")
        require(descriptor[6] == request["purpose"], "purpose_mismatch")
        caller = request["recipient"] == "caller"
        deliver_to = [0] if caller else [1, list(suite.NUMBERS), bytes.fromhex(request["recipient"])]
        require(descriptor[7] == deliver_to, "recipient_mismatch")
        require(descriptor[5] - descriptor[4] == request["ttl"], "ttl_mismatch")
        document.require_near(descriptor[4])
        require(descriptor[5] > case["now_ms"], "key_expired")
        keys.append({
            "key_id": base64.urlsafe_b64encode(descriptor[1]).decode().rstrip("="),
            "instance_id": document.instance.hex(),
            "public_key": descriptor[3].hex(),
            "issued_at": descriptor[4],
            "expires_at": descriptor[5],
            "descriptor_hash": h(encoded).hex(),
        })  # fmt: skip
    return keys


def judge_reply(vectors: dict, case: dict, answer: dict) -> dict:
    """Accepting a reply."""
    sealed = answer.get("sealed", answer)
    place, max_age_ms = sealed["context"], case.get("max_age_ms", 600_000)
    document = Document(vectors, case, un64(place["document"]), max_age_ms)
    own = bytes.fromhex(vectors["recipient"]["public_key"])
    document.require_in_batch(un64(place["record"]), place)
    context = cbor2.loads(un64(place["record"]))
    require(context[3] == own, "recipient_mismatch")
    document.require_near(context[5])
    reply = cbor2.loads(un64(sealed["reply"]))
    descriptor = cbor2.loads(reply[2])
    require(reply[1] == context[1], "reply_context_mismatch")
    require(descriptor[1][:8] == document.instance, "instance_mismatch")
    require(descriptor[7] == [1, list(suite.NUMBERS), own], "recipient_mismatch")
    require(descriptor[6] == case["expect"]["purpose"], "purpose_mismatch")
    require(reply[3] == bytes.fromhex(case["expect"]["aad"]), "aad_mismatch")
    key = suite.private_key(bytes.fromhex(vectors["recipient"]["private_key"]))
    info = suite.REPLY + document.instance + context[1]
    binding = h(reply[2]) + h(reply[3]) + reply[4]
    secret = suite.HPKE.create_recipient_context(context[4], key, info).export(suite.REPLY + binding, 44)
    try:
        plaintext = AESGCM(secret[:32]).decrypt(secret[32:], reply[5], binding)
    except InvalidTag as error:
        raise Refused("reply_open_failed") from error
    require(h(reply[2]).hex() not in case.get("seen", []), "reply_replayed")
    return {
        "plaintext": plaintext.hex(),
        "descriptor_hash": h(reply[2]).hex(),
        "remember_until_ms": document.time_ms + max_age_ms,
    }


def judge_statement(vectors: dict, case: dict, answer: dict) -> dict:
    """Statement."""
    document = Document(vectors, case, un64(answer["document"]), MINUTE_MS)
    document.require_in_batch(un64(answer["record"]), answer)
    statement = cbor2.loads(un64(answer["record"]))
    require(statement[1].hex() == case["nonce"], "nonce_mismatch")
    document.require_near(statement[2])
    return {
        "instance_id": document.instance.hex(),
        "document_ms": document.time_ms,
        "log_size": document.batch[3],
        "log_root": document.batch[4].hex(),
    }


def trust(vectors: dict) -> str:
    """What is accepted: roots by their hash, recipients by their point, files of nitro-cli by their registers."""
    anchors = recipients = files = 0
    for case in accepted(vectors["anchors"]):
        der = bytes.fromhex(case["der"]) if "der" in case else pem(case["pem"])
        check(case["name"], hashlib.sha256(der).hexdigest() == case["expected"]["accepted"])
        anchors += 1
    for case in accepted(vectors["recipients"]):
        text = case["text"].removeprefix("\ufeff").strip(" \t\r\n")
        check(case["name"], point(text).hex() == case["expected"]["accepted"])
        recipients += 1
    for case in accepted(vectors["measurement_files"]):
        registers = json.loads(case["text"].removeprefix("\ufeff"))
        registers = registers.get("Measurements", registers)
        pcrs = {int(name[3:]): value.lower() for name, value in registers.items() if name.startswith("PCR")}
        check(case["name"], sorted(map(list, pcrs.items())) == case["expected"]["accepted"])
        files += 1
    return f"{anchors} roots, {recipients} recipients, {files} files of measurements"


def accepted(cases: list) -> list:
    return [case for case in cases if "accepted" in case["expected"]]


def pem(text: str, label: str = "CERTIFICATE") -> bytes:
    header = f"-----BEGIN {label}-----"
    begin = text.index(header) + len(header)
    return base64.b64decode("".join(text[begin : text.index("-----END", begin)].split()))


def point(text: str) -> bytes:
    if text.startswith("{"):
        jwk = json.loads(text)
        return b"\4" + un64(jwk["x"]) + un64(jwk["y"])
    if "-----BEGIN PUBLIC KEY-----" in text:
        # Text before the block is ignored, which the library's own PEM reader does not do.
        return suite.public_bytes(load_der_public_key(pem(text, "PUBLIC KEY")))
    return un64(text)
