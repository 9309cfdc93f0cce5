"""The protocol's one HPKE suite in pyhpke, and keys for it."""

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pyhpke import AEADId, CipherSuite, KDFId, KEMId
from pyhpke.kem_key_interface import KEMKeyInterface

NUMBERS = (0x0011, 0x0002, 0x0002)
HPKE = CipherSuite.new(KEMId.DHKEM_P384_HKDF_SHA384, KDFId.HKDF_SHA384, AEADId.AES256_GCM)
SEAL = b"ok2cry v1 seal"
REPLY = b"ok2cry v1 reply"


def public_key(point: bytes) -> KEMKeyInterface:
    """A key from an uncompressed point of 97 bytes."""
    return HPKE.kem.deserialize_public_key(point)


def private_key(scalar: bytes) -> KEMKeyInterface:
    """A key from a scalar of 48 bytes."""
    return HPKE.kem.deserialize_private_key(scalar)


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """The uncompressed point."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def check(what: str, holds: bool) -> None:
    """Ends the program unless `holds`. Unlike `assert`, Python's flags do not disable it."""
    if not holds:
        raise SystemExit(f"does not hold: {what}")
