"""Opens one HPKE message again and again by Python's `cryptography`. Called by `make bench-crypto`; open.go and open.mjs do the same.

Arguments: the private scalar, the encapsulated key, the ciphertext and the plaintext in hexadecimal; rounds; milliseconds of
processor time per round. Prints the library's version and the nanoseconds of an open in the best round.
"""

import sys
from time import process_time_ns

import cryptography
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

scalar, enc, ciphertext, plaintext = (bytes.fromhex(argument) for argument in sys.argv[1:5])
rounds, round_ns = int(sys.argv[5]), int(sys.argv[6]) * 1_000_000

key = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP384R1())
suite = Suite(KEM.P384, KDF.HKDF_SHA384, AEAD.AES_256_GCM)
message = enc + ciphertext
best = None
# The first round warms caches and clocks up.
for number in range(rounds + 1):
    begun = process_time_ns()
    opened = spent = 0
    while spent < round_ns:
        assert suite.decrypt(message, key, b"info") == plaintext
        opened += 1
        spent = process_time_ns() - begun
    if number > 0:
        best = min(best or spent / opened, spent / opened)
print(cryptography.__version__, best)
