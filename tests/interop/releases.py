#!/usr/bin/env python3
"""Compares a published folder (docs/releases.md) with independent implementations.

  releases.py SITE ROOT_PUB_PEM...

securesystemslib verifies the envelopes, in_toto_attestation reads the manifests, and hashlib builds the log anew, to the
byte. Each of the given keys must have signed the first root document. Expiry is not checked: that is for clients. Prints
what it checked; exits with 1 at the first difference.
"""

import base64
import contextlib
import hashlib
import json
import pathlib
import sys

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from google.protobuf import json_format
from in_toto_attestation.v1 import statement_pb2
from in_toto_attestation.v1.statement import Statement
from securesystemslib.dsse import Envelope
from securesystemslib.signer import SSlibKey

from suite import check

ROOT = "application/vnd.ok2cry.release-root.v1+json"
LIST = "application/vnd.ok2cry.release-list.v1+json"
STATEMENT = "application/vnd.in-toto+json"
PREDICATE = "https://github.com/ok2cry/ok2cry/blob/main/docs/releases.md#manifest-v1"
WIDTH = 256
held = 0


def main() -> int:
    if len(sys.argv) < 3:
        raise SystemExit("usage: releases.py SITE ROOT_PUB_PEM...")
    site = pathlib.Path(sys.argv[1])
    pinned = {"threshold": len(sys.argv) - 2, "keys": [pem_key(pathlib.Path(path)) for path in sys.argv[2:]]}
    roots = read_roots(site / "root", pinned)
    log = read_log(site / "log", roots[-1]["log"])
    documents = [*(site / "root").glob("*.json"), *(site / "manifests").glob("*.json"), site / "list.json"]
    for path in sorted(documents):
        with holds(f"{path.relative_to(site)} is an entry of the log"):
            check("among the entries", path.read_bytes() in log.entries)
    listed = read_list(site / "list.json", roots[-1])
    read_manifests(site / "manifests", roots, listed)
    read_bundle(site, log, roots[-1]["log"], listed)
    print(f"{held} checks held")
    return 0


@contextlib.contextmanager
def holds(what: str):
    """One check. Whatever a library throws is a reason to end with 1."""
    global held
    try:
        yield
    except (Exception, SystemExit) as error:
        raise SystemExit(f"does not hold: {what}: {type(error).__name__}: {error}") from error
    held += 1
    print(what)


def pem_key(path: pathlib.Path) -> str:
    key = load_pem_public_key(path.read_bytes())
    return base64.b64encode(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).decode()


def dsse_key(encoded: str) -> SSlibKey:
    # securesystemslib believes any keyid it is handed, so the name is made from the key here.
    der = base64.b64decode(encoded, validate=True)
    pem = load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return SSlibKey(hashlib.sha256(der).hexdigest(), "ecdsa", "ecdsa-sha2-nistp384", {"public": pem})


def signed(path: pathlib.Path, kind: str, *roles: dict) -> bytes:
    """The payload, if it is of this type and each of the roles has signed it."""
    envelope = Envelope.from_dict(json.loads(path.read_bytes()))
    check(f"payloadType {envelope.payload_type}", envelope.payload_type == kind)
    for role in roles:
        keys = {key.keyid: key for key in map(dsse_key, role["keys"])}
        check("its keys differ", len(keys) == len(role["keys"]))
        # The library stops at the threshold: every signature in the name of such a key must hold, also those after it.
        count = max(role["threshold"], len(keys.keys() & envelope.signatures.keys()))
        envelope.verify(list(keys.values()), count)
    return envelope.payload


def read_roots(folder: pathlib.Path, pinned: dict) -> list[dict]:
    """The root documents from the first to the newest: each is signed by its own root keys and by those before."""
    roots, before = [], pinned
    for path in sorted(folder.glob("*.json"), key=lambda path: int(path.stem)):
        # Its own keys are known once it is read; what it says counts after both have signed.
        with holds(f"root/{path.name}: signed by its own root keys and {'those before' if roots else 'the pinned ones'}"):
            own = json.loads(Envelope.from_dict(json.loads(path.read_bytes())).payload)
            root = json.loads(signed(path, ROOT, before, own["root"]))
            check("its version is its name", root["version"] == int(path.stem))
            check("no version is left out", not roots or root["version"] == roots[-1]["version"] + 1)
            check("its product", not roots or root["product"] == roots[-1]["product"])
        roots.append(root)
        before = root["root"]
    check("there is a root document", bool(roots))
    return roots


def h(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def mth(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, of hashes of leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else h()
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return h(b"\1", mth(leaves[:k]), mth(leaves[k:]))


class Log:
    def __init__(self, entries: list[bytes]):
        self.entries = entries
        self.leaves = [h(b"\0", entry) for entry in entries]
        self.rows = [self.leaves]
        while len(self.rows[-1]) >= WIDTH:
            row = self.rows[-1]
            self.rows.append([mth(row[i : i + WIDTH]) for i in range(0, len(row) - WIDTH + 1, WIDTH)])

    def files(self) -> tuple[dict[str, bytes], set[str]]:
        """Every file that the log may have, also from when it was shorter; and those that it must have."""
        may, must = {}, set()
        for level, row in enumerate(self.rows):
            for end in range(1, len(row) + 1):
                number = (end - 1) // WIDTH
                begin = number * WIDTH
                last = end == len(row) or end - begin == WIDTH
                bundle = b"".join(len(e).to_bytes(2, "big") + e for e in self.entries[begin:end]) if level == 0 else b""
                for name, content in [(f"tile/{level}", b"".join(row[begin:end])), ("tile/entries", bundle)]:
                    if level and name == "tile/entries":
                        continue
                    path = f"{name}/{place(number, end - begin)}"
                    may[path] = content
                    if last:
                        must.add(path)
        return may, must


def place(number: int, width: int) -> str:
    """c2sp.org/tlog-tiles: groups of three digits, an x before all but the last."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.insert(0, f"x{number % 1000:03}")
    return "/".join(groups) + (f".p/{width}" if width < WIDTH else "")


def read_entries(folder: pathlib.Path, size: int) -> list[bytes]:
    entries = []
    for begin in range(0, size, WIDTH):
        width = min(WIDTH, size - begin)
        bundle = (folder / "tile/entries" / place(begin // WIDTH, width)).read_bytes()
        for _ in range(width):
            length = int.from_bytes(bundle[:2], "big")
            check("a bundle of entries is whole", len(bundle) >= 2 + length)
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        check("nothing is after the entries", not bundle)
    return entries


def read_log(folder: pathlib.Path, keys: dict) -> Log:
    with holds("log/checkpoint: one spelling, signed by the log"):
        note = (folder / "checkpoint").read_bytes().decode()
        size, root = read_checkpoint(note, keys, 0)
    with holds(f"log/checkpoint: the root of {size} entries"):
        log = Log(read_entries(folder, size))
        check("the root hash", mth(log.leaves) == root)
    may, must = log.files()
    for path in sorted(path for path in (folder / "tile").rglob("*") if path.is_file()):
        name = str(path.relative_to(folder))
        with holds(f"log/{name}: made anew, the same"):
            check("a tile of this log", name in may)
            check("its bytes", path.read_bytes() == may[name])
            must.discard(name)
    with holds("log/tile: no tile is missing"):
        check(" ".join(sorted(must)), not must)
    return log


def read_checkpoint(note: str, keys: dict, threshold: int) -> tuple[int, bytes]:
    """c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature: size and root hash, signed by the log and by enough witnesses."""
    text, _, lines = note.rpartition("\n\n")
    text += "\n"
    origin, size, root = text.split("\n")[:3]
    root = base64.b64decode(root, validate=True)
    check("no extensions, each in its one spelling", text == f"{origin}\n{int(size)}\n{base64.b64encode(root).decode()}\n")
    check("a hash", len(root) == 32)
    check("it ends with a line", lines.endswith("\n"))
    signatures = {}
    for line in lines.removesuffix("\n").split("\n"):
        dash, name, signature = line.split(" ")
        check("a dash", dash == "—")
        signature = base64.b64decode(signature, validate=True)
        signatures[name, signature[:4]] = signature[4:]
    name, id, kind, key = verifier_key(keys["key"])
    check("the log's key is of type 1", kind == 1)
    check("its name is the origin", name == origin)
    key.verify(signatures[name, id], text.encode())
    cosigned = 0
    for name, id, kind, key in map(verifier_key, keys["witnesses"]):
        check("a witness's key is of type 4", kind == 4)
        if (signature := signatures.get((name, id))) is not None:
            time = int.from_bytes(signature[:8], "big")
            key.verify(signature[8:], f"cosignature/v1\ntime {time}\n{text}".encode())
            cosigned += 1
    check(f"{cosigned} witnesses, where {threshold} must", cosigned >= threshold)
    return int(size), root


def verifier_key(vkey: str) -> tuple[str, bytes, int, Ed25519PublicKey]:
    name, id, encoded = vkey.split("+", 2)
    key = base64.b64decode(encoded, validate=True)
    check("a verifier key's ID", h(name.encode(), b"\n", key)[:4].hex() == id)
    return name, bytes.fromhex(id), key[0], Ed25519PublicKey.from_public_bytes(key[1:])


def read_list(path: pathlib.Path, root: dict) -> dict[str, str]:
    with holds("list.json: signed by the newest root document's list keys"):
        content = json.loads(signed(path, LIST, root["lists"]))
        check("its product", content["product"] == root["product"])
        releases = {release["version"]: release["manifest_sha384"] for release in content["releases"]}
        check("each release once", len(releases) == len(content["releases"]))
    return releases


def read_manifests(folder: pathlib.Path, roots: list[dict], listed: dict[str, str]) -> None:
    for path in sorted(folder.glob("*.json")):
        version = path.stem
        # A revoked one stays in the folder, and may be signed by builders of that time.
        with holds(f"manifests/{path.name}: signed by the builders" + ("" if version in listed else ", revoked")):
            payload = signed(path, STATEMENT, roots[-1]["manifests"]) if version in listed else by_any(path, roots)
        with holds(f"manifests/{path.name}: an in-toto statement of the image"):
            parsed = json_format.Parse(payload, statement_pb2.Statement())
            Statement.copy_from_pb(parsed).validate()
            check("its predicateType", parsed.predicate_type == PREDICATE)
            check("its subject", [subject.name for subject in parsed.subject] == [roots[-1]["product"]])
            check("its digests", {k: len(v) for k, v in parsed.subject[0].digest.items()} == {"sha256": 64, "sha384": 96})
            # Everything there is a double or a text: nothing that we write may get lost in that.
            predicate = json_format.MessageToDict(parsed.predicate)
            check("its predicate, as in-toto reads it", predicate == json.loads(payload)["predicate"])
            check("its version", predicate["version"] == version)
        if version in listed:
            with holds(f"manifests/{path.name}: the one that is listed"):
                check("its hash", hashlib.sha384(payload).hexdigest() == listed[version])


def by_any(path: pathlib.Path, roots: list[dict]) -> bytes:
    errors = []
    for root in reversed(roots):
        try:
            return signed(path, STATEMENT, root["manifests"])
        except Exception as error:
            errors.append(error)
    raise errors[0]


def read_bundle(site: pathlib.Path, log: Log, keys: dict, listed: dict[str, str]) -> None:
    with holds(f"bundle.json: its checkpoint is the log's, cosigned by {keys['witness_threshold']} witnesses"):
        bundle = json.loads((site / "bundle.json").read_bytes())
        size, root = read_checkpoint(bundle["checkpoint"], keys, keys["witness_threshold"])
        # The log may be ahead, if a witness refused.
        check("its size", size <= len(log.entries))
        check("its root hash", mth(log.leaves[:size]) == root)
    names = [f"root/{path.name}" for path in sorted((site / "root").glob("*.json"), key=lambda path: int(path.stem))]
    names += [f"manifests/{version}.json" for version in listed] + ["list.json"]
    shown = [*bundle["roots"], *bundle["manifests"], bundle["list"]]
    with holds(f"bundle.json: {len(shown)} documents, each at its place in the log"):
        check("as many as there are", len(shown) == len(names))
        for name, document in zip(names, shown):
            envelope = document["envelope"].encode()
            check(name, (site / name).read_bytes() == envelope and document["index"] < size)
            check(f"{name}, its place", log.entries[document["index"]] == envelope)
    with holds(f"bundle.json: {len(bundle['tiles'])} tiles of the log"):
        may, _ = log.files()
        for name, tile in bundle["tiles"].items():
            check(name, may.get(name) == base64.b64decode(tile, validate=True))


if __name__ == "__main__":
    sys.exit(main())
