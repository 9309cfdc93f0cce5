//! One certificate by itself: DER, version, algorithms, key, extensions.

use super::Case;
use crate::{Cert, EC_P256, ECDSA_SHA256, ECDSA_SHA384, Enclave, Extension, INSTANCE, LEAF, ORDER, der};

/// One certificate by itself: DER, version, algorithms, key, extensions.
pub const CERTIFICATES: &[Case] = &[
    ("no certificate at all", "der_malformed", |e| e.on_certificate = |_| vec![0]),
    ("a byte after the leaf", "der_trailing_bytes", |e| e.on_certificate = |d| [d, vec![0]].concat()),
    ("a byte after a CA", "der_trailing_bytes", |e| e.on_cabundle = |b| b[2].push(0)),
    ("a BER length", "der_malformed", |e| {
        e.certs[LEAF].on_der = |d| [&[0x30, 0x83, 0], &d[2..]].concat();
    }),
    ("an indefinite length", "der_malformed", |e| {
        e.certs[LEAF].on_der = |d| [&[0x30, 0x80], &d[4..], &[0, 0]].concat();
    }),
    ("a truncated certificate", "der_malformed", |e| {
        e.certs[LEAF].on_der = |d| d[..d.len() - 1].to_vec();
    }),
    ("a byte after the extensions", "der_trailing_bytes", |e| {
        e.certs[LEAF].after_extensions = vec![5, 0];
    }),
    ("a byte after the signature's s", "der_trailing_bytes", |e| {
        e.certs[LEAF].on_signature = |s| {
            let inner = [&s[2..], &[5, 0]].concat();
            der::tlv(0x30, &inner)
        };
    }),
    ("a byte after the signature", "der_trailing_bytes", |e| {
        e.certs[LEAF].on_signature = |s| [s, vec![0]].concat();
    }),
    ("a padded r", "der_malformed", |e| {
        e.certs[LEAF].on_signature = |s| {
            let len = s[3] as usize;
            let r = [&[0, 0], &s[4..4 + len]].concat();
            der::seq(&[&der::tlv(2, &r), &s[4 + len..]])
        };
    }),
    ("a zero r", "der_malformed", |e| {
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::tlv(2, &[0]), &der::uint(&[1])]);
    }),
    ("a zero s", "der_malformed", |e| {
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::uint(&[1]), &der::tlv(2, &[0])]);
    }),
    ("a negative s", "der_malformed", |e| {
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::uint(&[1]), &der::tlv(2, &[0x80])]);
    }),
    ("an r of 49 bytes", "der_malformed", |e| {
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::uint(&[1; 49]), &der::uint(&[1])]);
    }),
    ("a signature of three integers", "der_trailing_bytes", |e| {
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::uint(&[1]), &der::uint(&[1]), &der::uint(&[1])]);
    }),
    ("an empty signature", "der_malformed", |e| e.certs[LEAF].on_signature = |_| vec![]),
    ("r at the order of the curve", "certificate_signature_invalid", |e| {
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::uint(&ORDER), &der::uint(&[1])]);
    }),
    ("s beyond the order of the curve", "certificate_signature_invalid", |e| {
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::uint(&[1]), &der::uint(&[0xff; 48])]);
    }),
    ("version 1", "certificate_version", |e| e.certs[LEAF].version = vec![]),
    ("version 2", "certificate_version", |e| e.certs[LEAF].version = der::tlv(0xa0, &der::uint(&[1]))),
    ("an empty serial", "der_malformed", |e| e.certs[LEAF].serial = der::tlv(2, &[])),
    ("an empty subject", "der_malformed", |e| e.certs[LEAF].subject = der::seq(&[])),
    ("a subject that is not UTF-8", "der_malformed", |e| {
        let attribute = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), &der::tlv(0x0c, &[0xff])]);
        e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &attribute)]);
    }),
    ("signed with SHA-256", "certificate_signature_algorithm", |e| {
        e.certs[LEAF].inner_algorithm = ECDSA_SHA256.to_vec();
        e.certs[LEAF].outer_algorithm = ECDSA_SHA256.to_vec();
    }),
    ("SHA-256 outside only", "certificate_signature_algorithm", |e| {
        e.certs[INSTANCE].outer_algorithm = ECDSA_SHA256.to_vec();
    }),
    ("SHA-256 inside only", "certificate_signature_algorithm", |e| {
        e.certs[INSTANCE].inner_algorithm = ECDSA_SHA256.to_vec();
    }),
    ("algorithm with a NULL parameter", "certificate_signature_algorithm", |e| {
        e.certs[LEAF].outer_algorithm.extend([5, 0]);
        e.certs[LEAF].inner_algorithm.extend([5, 0]);
    }),
    ("a P-256 leaf", "certificate_key_not_p384", |e| {
        e.certs[LEAF].key_algorithm = EC_P256.to_vec();
        e.certs[LEAF].point = vec![4; 65];
    }),
    ("a P-256 point that claims P-384", "certificate_key_not_p384", |e| {
        e.certs[LEAF].point = vec![4; 65];
    }),
    ("a compressed point", "certificate_key_not_p384", |e| {
        let point = &mut e.certs[LEAF].point;
        point.truncate(49);
        point[0] = 2;
    }),
    ("a point of the form 6", "certificate_key_not_p384", |e| e.certs[LEAF].point[0] = 6),
    ("a leaf key off the curve", "document_signature_invalid", |e| e.certs[LEAF].point[96] ^= 1),
    ("a CA key off the curve", "certificate_signature_invalid", |e| e.certs[INSTANCE].point[96] ^= 1),
    ("notAfter before notBefore", "certificate_validity_inverted", |e| {
        e.certs[LEAF].validity = (der::utc_time("260115120000Z"), der::utc_time("260115115959Z"));
    }),
    ("a validity with a fraction", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::tlv(0x18, b"20260115150000.5Z");
    }),
    ("GeneralizedTime before 2050", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::tlv(0x18, b"20260115150000Z");
    }),
    ("February 30th", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("260230150000Z")),
    ("local time", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("2601151500+0100")),
    ("no extensions in the leaf", "leaf_not_digital_signature", |e| e.certs[LEAF].extensions.clear()),
    ("keyUsage twice", "certificate_extension_duplicate", |e| {
        e.certs[LEAF].extensions.push(Extension::key_usage(0xc0));
    }),
    ("an unknown critical extension", "certificate_critical_extension", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x2a, 3, 4], true, vec![5, 0]));
    }),
    ("critical name constraints", "certificate_critical_extension", |e| {
        e.certs[1].extensions.push(Extension::new(&[0x55, 0x1d, 30], true, vec![0x30, 0]));
    }),
    ("an explicit critical FALSE", "der_malformed", |e| {
        e.certs[LEAF].extension(15).critical = vec![1, 1, 0];
    }),
    ("critical TRUE as 1", "der_malformed", |e| e.certs[LEAF].extension(15).critical = vec![1, 1, 1]),
    ("seventeen extensions", "der_malformed", |e| {
        e.certs[LEAF].extensions.extend((0..15).map(|i| Extension::new(&[0x2a, 3, i], false, vec![5, 0])));
    }),
    ("name constraints that are not critical", "der_malformed", |e| {
        let value = der::seq(&[&der::tlv(0xa0, &der::seq(&[&der::tlv(0x82, b"example.com")]))]);
        e.certs[INSTANCE].extensions.push(Extension::new(&[0x55, 0x1d, 30], false, value));
    }),
    ("an extended key usage that is no SEQUENCE", "der_malformed", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::tlv(4, &[1, 2, 3])));
    }),
    ("an alternative name with a byte after it", "der_trailing_bytes", |e| {
        let name = der::seq(&[&der::tlv(0x82, b"example.com")]);
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 17], false, [&name[..], &[0]].concat()));
    }),
    ("an extended key usage for servers", "path_invalid", |e| {
        let server_auth = der::tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[&server_auth])));
    }),
    ("a key usage with spare bits", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(0, &[0xc0]);
    }),
    ("basicConstraints with an explicit FALSE", "der_malformed", |e| {
        e.certs[LEAF].extension(19).value = der::seq(&[&[1, 1, 0]]);
    }),
    ("a P-256 curve and a point of 97 bytes", "certificate_key_not_p384", |e| {
        e.certs[LEAF].key_algorithm = EC_P256.to_vec();
    }),
    ("a P-521 curve and a point of 97 bytes", "certificate_key_not_p384", |e| {
        *e.certs[LEAF].key_algorithm.last_mut().unwrap() = 0x23;
    }),
    ("a key of ECDH alone", "certificate_key_not_p384", |e| {
        e.certs[LEAF].key_algorithm = vec![6, 5, 0x2b, 0x81, 4, 1, 12, 6, 5, 0x2b, 0x81, 4, 0, 0x22];
    }),
    ("a key without a curve", "certificate_key_not_p384", |e| e.certs[LEAF].key_algorithm.truncate(9)),
    ("a key with explicit parameters", "certificate_key_not_p384", |e| {
        e.certs[LEAF].key_algorithm.truncate(9);
        e.certs[LEAF].key_algorithm.extend([0x30, 0]);
    }),
    ("a key with a NULL after its curve", "certificate_key_not_p384", |e| {
        e.certs[LEAF].key_algorithm.extend([5, 0]);
    }),
    ("a P-256 curve in a CA", "certificate_key_not_p384", |e| {
        e.certs[INSTANCE].key_algorithm = EC_P256.to_vec();
    }),
    ("signed with SHA-512", "certificate_signature_algorithm", |e| {
        *e.certs[LEAF].inner_algorithm.last_mut().unwrap() = 4;
        *e.certs[LEAF].outer_algorithm.last_mut().unwrap() = 4;
    }),
    ("a NULL parameter outside only", "certificate_signature_algorithm", |e| {
        e.certs[LEAF].outer_algorithm.extend([5, 0]);
    }),
    ("a NULL parameter inside only", "certificate_signature_algorithm", |e| {
        e.certs[LEAF].inner_algorithm.extend([5, 0]);
    }),
    ("an issuer's unique id", "der_malformed", |e| unique_id(e, 0x81)),
    ("a subject's unique id", "der_malformed", |e| unique_id(e, 0x82)),
    ("no extensions in a list of extensions", "der_malformed", |e| {
        e.certs[LEAF].extensions.clear();
        e.certs[LEAF].after_extensions = der::tlv(0xa3, &der::seq(&[]));
    }),
    ("a byte after the certificate's signature", "der_trailing_bytes", |e| {
        e.certs[LEAF].on_der = |d| inside(&d, &[5, 0]);
    }),
    ("a byte after the version", "der_trailing_bytes", |e| {
        e.certs[LEAF].version = der::tlv(0xa0, &[der::uint(&[2]), vec![5, 0]].concat());
    }),
    ("a third time in the validity", "der_trailing_bytes", |e| {
        let again = e.certs[LEAF].validity.1.clone();
        e.certs[LEAF].validity.1.extend(again);
    }),
    ("a byte after the extensions' list", "der_trailing_bytes", |e| {
        let list = der::seq(&[&extension(&[0x55, 0x1d, 15], &der::bit_string(6, &[0xc0]))]);
        e.certs[LEAF].extensions.clear();
        e.certs[LEAF].after_extensions = der::tlv(0xa3, &[list, vec![5, 0]].concat());
    }),
    ("a byte after an extension's value", "der_trailing_bytes", |e| {
        let usage = extension(&[0x55, 0x1d, 15], &der::bit_string(6, &[0xc0]));
        e.certs[LEAF].extensions.clear();
        e.certs[LEAF].after_extensions = der::tlv(0xa3, &der::seq(&[&inside(&usage, &[5, 0])]));
    }),
    ("a byte after basicConstraints", "der_trailing_bytes", |e| {
        e.certs[INSTANCE].extension(19).value.push(0)
    }),
    ("a byte after the pathLenConstraint", "der_trailing_bytes", |e| {
        e.certs[INSTANCE].extension(19).value = der::seq(&[&[1, 1, 0xff], &[2, 1, 0], &[5, 0]]);
    }),
    ("a pathLenConstraint in a certificate that is no CA's", "der_trailing_bytes", |e| {
        e.certs[LEAF].extension(19).value = der::seq(&[&[2, 1, 0]]);
    }),
    ("a byte after keyUsage", "der_trailing_bytes", |e| e.certs[LEAF].extension(15).value.push(0)),
    ("a byte after the value of a name's attribute", "der_trailing_bytes", |e| {
        let attribute = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), &der::tlv(0x0c, b"leaf"), &[5, 0]]);
        e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &attribute)]);
    }),
    ("a byte after the CRL distribution points", "der_trailing_bytes", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 31], false, vec![0x30, 0, 0]));
    }),
    ("CRL distribution points that are no SEQUENCE", "der_malformed", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 31], false, vec![4, 0]));
    }),
    ("an alternative name that is no SEQUENCE", "der_malformed", |e| {
        e.certs[LEAF].extensions.push(Extension::new(
            &[0x55, 0x1d, 17],
            false,
            der::tlv(0x82, b"example.com"),
        ));
    }),
    ("a negative pathLenConstraint", "der_malformed", |e| {
        e.certs[INSTANCE].extension(19).value = der::seq(&[&[1, 1, 0xff], &[2, 1, 0x80]]);
    }),
    ("a pathLenConstraint of 256", "der_malformed", |e| {
        e.certs[INSTANCE].extension(19).value = der::seq(&[&[1, 1, 0xff], &[2, 2, 1, 0]]);
    }),
    ("a pathLenConstraint with a leading zero", "der_malformed", |e| {
        e.certs[INSTANCE].extension(19).value = der::seq(&[&[1, 1, 0xff], &[2, 2, 0, 1]]);
    }),
    ("a serial with a leading zero", "der_malformed", |e| e.certs[LEAF].serial = der::tlv(2, &[0, 1])),
    ("a serial that is no INTEGER", "der_malformed", |e| e.certs[LEAF].serial = der::tlv(4, &[1])),
    ("a name with an empty SET", "der_malformed", |e| {
        let name = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), &der::tlv(0x0c, b"leaf")]);
        e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &name), &der::tlv(0x31, &[])]);
    }),
    ("a name of nothing but an empty SET", "der_malformed", |e| {
        e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &[])]);
    }),
    ("a name that is a SET", "der_malformed", |e| e.certs[LEAF].subject[0] = 0x31),
    ("a name's attribute without a value", "der_malformed", |e| {
        e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &der::seq(&[&der::tlv(6, &[0x55, 4, 3])]))]);
    }),
    ("a PrintableString outside ASCII", "der_malformed", |e| {
        let attribute = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), &der::tlv(0x13, "é".as_bytes())]);
        e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &attribute)]);
    }),
    ("an IA5String outside ASCII", "der_malformed", |e| {
        let attribute = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), &der::tlv(0x16, &[0x80])]);
        e.certs[LEAF].subject = der::seq(&[&der::tlv(0x31, &attribute)]);
    }),
    ("an empty issuer", "der_malformed", |e| e.certs[LEAF].issuer = der::seq(&[])),
    ("a keyUsage of no bits", "der_malformed", |e| e.certs[LEAF].extension(15).value = der::tlv(3, &[0])),
    ("a keyUsage of three bytes", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(7, &[0xc0, 0x80, 0x80]);
    }),
    ("a validity of 1969", "der_malformed", |e| e.certs[1].validity.0 = der::utc_time("691231235959Z")),
    ("a validity without seconds", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::utc_time("2601151500Z")
    }),
    ("a leap second", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("260115145960Z")),
    ("a tag of several bytes", "der_malformed", |e| {
        e.certs[LEAF].after_extensions = vec![0x1f, 0x81, 0, 0];
        e.certs[LEAF].extensions.clear();
    }),
    ("an extended key usage of nothing", "path_invalid", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[])));
    }),
    ("an extended key usage of anything", "path_invalid", |e| {
        let any = der::tlv(6, &[0x55, 0x1d, 37, 0]);
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[&any])));
    }),
    ("an extended key usage for servers in a CA", "path_invalid", |e| {
        let server_auth = der::tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        e.certs[1].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[&server_auth])));
    }),
    ("a critical extended key usage for clients", "certificate_critical_extension", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], true, der::seq(&[CLIENT_AUTH])));
    }),
    ("an extended key usage for servers, and a wrong signature", "path_invalid", |e| {
        let server_auth = der::tlv(6, &[0x2b, 6, 1, 5, 5, 7, 3, 1]);
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, der::seq(&[&server_auth])));
        e.certs[LEAF].signer = 2;
    }),
    ("a byte after the key", "der_trailing_bytes", |e| {
        // The malformed key is read first.
        let algorithm = der::tlv(0x30, &e.certs[LEAF].key_algorithm);
        let key = der::seq(&[&algorithm, &der::bit_string(0, &e.certs[LEAF].point), &[5, 0]]);
        e.certs[LEAF].subject.extend(key);
    }),
    ("a serial with a leading 0xff", "der_malformed", |e| e.certs[LEAF].serial = der::tlv(2, &[0xff, 0x80])),
    ("a key with unused bits", "der_malformed", |e| {
        let algorithm = der::tlv(0x30, &e.certs[LEAF].key_algorithm);
        let key = der::seq(&[&algorithm, &der::bit_string(1, &e.certs[LEAF].point)]);
        e.certs[LEAF].subject.extend(key);
    }),
    ("a signature with unused bits", "der_malformed", |e| {
        e.certs[LEAF].on_der = |mut d| {
            let at = d.windows(3).rposition(|w| w[0] == 0 && w[1] == 0x30 && (0x60..0x70).contains(&w[2]));
            d[at.unwrap()] = 1;
            d
        };
    }),
    ("a UTCTime of 1950", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("500101000000Z")),
    ("a NULL after the key, and no extensions", "der_malformed", |e| after_key(e, &[5, 0])),
    ("an element [4] after the key", "der_malformed", |e| after_key(e, &[0xa4, 2, 0x30, 0])),
    ("a [3] of another form after the key", "der_malformed", |e| after_key(e, &[0x83, 2, 0x30, 0])),
    ("a SEQUENCE of extensions after the key, without its [3]", "der_malformed", |e| {
        let usage = extension(&[0x55, 0x1d, 15], &der::bit_string(6, &[0xc0]));
        after_key(e, &der::seq(&[&usage]));
    }),
    ("a byte after the key, and no extensions", "der_malformed", |e| after_key(e, &[0])),
    ("extensions twice", "der_trailing_bytes", |e| {
        let usage = extension(&[0x55, 0x1d, 15], &der::bit_string(6, &[0xc0]));
        e.certs[LEAF].after_extensions = der::tlv(0xa3, &der::seq(&[&usage]));
    }),
    ("an element [4] after the extensions", "der_trailing_bytes", |e| {
        e.certs[LEAF].after_extensions = vec![0xa4, 0];
    }),
    ("a byte after a signature whose r is zero", "der_trailing_bytes", |e| {
        e.certs[LEAF].on_signature = |_| {
            let zero = der::seq(&[&der::tlv(2, &[0]), &der::uint(&[1])]);
            [zero, vec![0]].concat()
        };
    }),
    ("a byte after a signature of one integer", "der_trailing_bytes", |e| {
        e.certs[LEAF].on_signature = |_| [der::seq(&[&der::uint(&[1])]), vec![0]].concat();
    }),
    ("a signature that is a SET, and a byte after it", "der_malformed", |e| {
        e.certs[LEAF].on_signature = |_| [der::tlv(0x31, &der::uint(&[1])), vec![0]].concat();
    }),
    ("a third integer behind an r of 49 bytes", "der_malformed", |e| {
        e.certs[LEAF].on_signature =
            |_| der::seq(&[&der::uint(&[1; 49]), &der::uint(&[1]), &der::uint(&[1])]);
    }),
    ("version 1, and a padded signature", "der_malformed", |e| {
        e.certs[LEAF].version = vec![];
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::tlv(2, &[0, 1]), &der::uint(&[1])]);
    }),
    ("SHA-256 outside, and a padded signature", "certificate_signature_algorithm", |e| {
        e.certs[LEAF].outer_algorithm = ECDSA_SHA256.to_vec();
        e.certs[LEAF].on_signature = |_| der::seq(&[&der::tlv(2, &[0, 1]), &der::uint(&[1])]);
    }),
    ("version 1, and a byte after the certificate's signature", "der_trailing_bytes", |e| {
        e.certs[LEAF].version = vec![];
        e.certs[LEAF].on_der = |d| inside(&d, &[5, 0]);
    }),
    ("a short point, and a byte after the key", "der_trailing_bytes", |e| {
        let algorithm = der::tlv(0x30, &e.certs[LEAF].key_algorithm);
        let key = der::seq(&[&algorithm, &der::bit_string(0, &[4; 96]), &[5, 0]]);
        e.certs[LEAF].subject.extend(key);
    }),
    ("a P-256 curve, and a key with unused bits", "certificate_key_not_p384", |e| {
        let algorithm = der::tlv(0x30, EC_P256);
        let key = der::seq(&[&algorithm, &der::bit_string(1, &e.certs[LEAF].point)]);
        e.certs[LEAF].subject.extend(key);
    }),
    ("an inverted validity, and a third time", "der_trailing_bytes", |e| {
        let again = e.certs[LEAF].validity.0.clone();
        e.certs[LEAF].validity = (e.certs[LEAF].validity.1.clone(), [again.clone(), again].concat());
    }),
    ("a seventeenth extension that is a second keyUsage", "certificate_extension_duplicate", |e| {
        e.certs[LEAF].extensions.extend((0..14).map(|i| Extension::new(&[0x2a, 3, i], false, vec![5, 0])));
        e.certs[LEAF].extensions.push(Extension::key_usage(0xc0));
    }),
    ("a seventeenth extension that is critical", "der_malformed", |e| {
        e.certs[LEAF].extensions.extend((0..15).map(|i| Extension::new(&[0x2a, 3, i], i == 14, vec![5, 0])));
    }),
    ("an unknown critical extension before a broken keyUsage", "certificate_critical_extension", |e| {
        e.certs[LEAF].extensions.insert(0, Extension::new(&[0x2a, 3, 4], true, vec![5, 0]));
        e.certs[LEAF].extension(15).value = vec![5, 0];
    }),
    ("a broken keyUsage before an unknown critical extension", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = vec![5, 0];
        e.certs[LEAF].extensions.push(Extension::new(&[0x2a, 3, 4], true, vec![5, 0]));
    }),
    ("a length of 1 in two bytes", "der_malformed", |e| e.certs[LEAF].serial = vec![2, 0x81, 1, 5]),
    ("a length of 127 in two bytes", "der_malformed", |e| {
        e.certs[LEAF].serial = [&[2, 0x81, 0x7f][..], &[5; 0x7f]].concat();
    }),
    ("a length of 1 in three bytes", "der_malformed", |e| e.certs[LEAF].serial = vec![2, 0x82, 0, 1, 5]),
    ("a length of 255 in three bytes", "der_malformed", |e| {
        e.certs[LEAF].serial = [&[2, 0x82, 0, 0xff][..], &[5; 0xff]].concat();
    }),
    ("a tag at the end of tbsCertificate", "der_malformed", |e| after_key(e, &[0xa3])),
    ("a length of two bytes without its second", "der_malformed", |e| after_key(e, &[0xa3, 0x81])),
    ("a length of three bytes without its third", "der_malformed", |e| after_key(e, &[0xa3, 0x82, 1])),
    ("a certificate without its signature algorithm", "der_malformed", |e| {
        e.certs[LEAF].on_der = |d| {
            let (tbs, rest) = parts(&d);
            der::seq(&[&tbs, &without(rest, &algorithm())])
        };
    }),
    ("a signature algorithm that is a SET", "der_malformed", |e| {
        e.certs[LEAF].on_der = |d| {
            let (tbs, rest) = parts(&d);
            let set = der::tlv(0x31, ECDSA_SHA384);
            der::seq(&[&tbs, &set, &without(rest, &algorithm())])
        };
    }),
    // The issuer's name is read in its place.
    ("a tbsCertificate without its signature algorithm", "certificate_signature_algorithm", |e| {
        e.certs[LEAF].on_der = |d| {
            let (tbs, rest) = parts(&d);
            der::seq(&[&der::tlv(0x30, &without(tbs[4..].to_vec(), &algorithm())), &rest])
        };
    }),
    ("a tbsCertificate that ends after its serial number", "der_malformed", |e| {
        e.certs[LEAF].on_der = |d| {
            let rest = parts(&d).1;
            der::seq(&[&der::seq(&[&Cert::at(LEAF).version, &der::uint(&[1])]), &rest])
        };
    }),
    ("a key without an algorithm", "der_malformed", |e| e.certs[LEAF].subject.extend(der::seq(&[]))),
    ("a key whose algorithm is a SET", "der_malformed", |e| {
        let algorithm = der::tlv(0x31, &e.certs[LEAF].key_algorithm);
        let key = der::seq(&[&algorithm, &der::bit_string(0, &e.certs[LEAF].point)]);
        e.certs[LEAF].subject.extend(key);
    }),
    ("a key without its BIT STRING", "der_malformed", |e| {
        let key = der::seq(&[&der::tlv(0x30, &e.certs[LEAF].key_algorithm)]);
        e.certs[LEAF].subject.extend(key);
    }),
    ("a key of a BIT STRING without bytes", "der_malformed", |e| {
        let key = der::seq(&[&der::tlv(0x30, &e.certs[LEAF].key_algorithm), &der::tlv(3, &[])]);
        e.certs[LEAF].subject.extend(key);
    }),
    ("a signature of a BIT STRING without bytes", "der_malformed", |e| {
        e.certs[LEAF].on_der = |d| der::seq(&[&parts(&d).0, &algorithm(), &der::tlv(3, &[])]);
    }),
    ("an encoded default version", "certificate_version", |e| {
        e.certs[LEAF].version = der::tlv(0xa0, &der::uint(&[0]));
    }),
    ("version 4", "certificate_version", |e| e.certs[LEAF].version = der::tlv(0xa0, &der::uint(&[3]))),
    ("a version of two bytes", "certificate_version", |e| {
        e.certs[LEAF].version = der::tlv(0xa0, &der::uint(&[2, 2]));
    }),
    ("a version with a leading zero", "der_malformed", |e| {
        e.certs[LEAF].version = der::tlv(0xa0, &der::tlv(2, &[0, 2]));
    }),
    ("a version that is no INTEGER", "der_malformed", |e| {
        e.certs[LEAF].version = der::tlv(0xa0, &der::tlv(4, &[2]));
    }),
    ("a version without a value", "der_malformed", |e| e.certs[LEAF].version = der::tlv(0xa0, &[])),
    ("version 2, and a byte after the version", "certificate_version", |e| {
        e.certs[LEAF].version = der::tlv(0xa0, &[der::uint(&[1]), vec![5, 0]].concat());
    }),
    ("version 1, and a byte after the leaf", "der_trailing_bytes", |e| {
        e.certs[LEAF].version = vec![];
        e.on_certificate = |d| [d, vec![0]].concat();
    }),
    ("an unreadable leaf, and a byte after it", "der_trailing_bytes", |e| {
        e.on_certificate = |_| vec![0x30, 2, 0, 0, 0];
    }),
    ("a tag number of several bytes in an attribute's value", "der_malformed", |e| {
        e.certs[LEAF].subject = named(&[0x1f, 1, 0x61]);
    }),
    ("a tag number of several bytes, constructed, in an attribute's value", "der_malformed", |e| {
        e.certs[LEAF].subject = named(&[0xbf, 1, 0x61]);
    }),
    ("a tag of zero in an attribute's value", "der_malformed", |e| {
        e.certs[LEAF].subject = named(&[0, 1, 0x61])
    }),
    ("a keyUsage without its number of unused bits", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::tlv(3, &[]);
    }),
    ("a keyUsage of eight unused bits", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::tlv(3, &[8, 0]);
    }),
    ("a keyUsage whose unsent bits are set", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(6, &[0xc1]);
    }),
    ("a keyUsage whose last sent bit is not set", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(5, &[0xc0]);
    }),
    ("a keyUsage of a zero byte", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(7, &[0]);
    }),
    ("a keyUsage of two bytes, of which the second is zero", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(7, &[0xc0, 0]);
    }),
    ("a keyUsage of ten bits", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(6, &[0xc0, 0xc0]);
    }),
    ("a keyUsage of nine bits whose unsent bits are set", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(7, &[0xc0, 0xc0]);
    }),
    ("a keyUsage of two bytes without unused bits", "der_malformed", |e| {
        e.certs[LEAF].extension(15).value = der::bit_string(0, &[0xc0, 0x80]);
    }),
    ("GeneralizedTime at the end of 2049", "der_malformed", |e| {
        e.certs[1].validity.1 = der::tlv(0x18, b"20491231235959Z");
    }),
    ("a UTCTime with four digits of the year", "der_malformed", |e| {
        e.certs[1].validity.1 = der::utc_time("20500101000000Z");
    }),
    ("GeneralizedTime with two digits of the year", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::tlv(0x18, b"260115150000Z");
    }),
    ("a UTCTime that ends in a small letter", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::utc_time("260115150000z");
    }),
    ("a UTCTime without its Z", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::utc_time("260115150000")
    }),
    ("a UTCTime with a space among its digits", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::utc_time("2601151500 0Z");
    }),
    ("a UTCTime with a letter among its digits", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::utc_time("26a115150000Z");
    }),
    ("a UTCTime of month 0", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("260015150000Z")),
    ("a UTCTime of month 13", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("261315150000Z")),
    ("a UTCTime of day 0", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("260100150000Z")),
    ("a UTCTime of hour 24", "der_malformed", |e| e.certs[LEAF].validity.1 = der::utc_time("260115240000Z")),
    ("a UTCTime of minute 60", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::utc_time("260115146000Z")
    }),
    ("February 29th of 2100", "der_malformed", |e| {
        e.certs[1].validity.1 = der::tlv(0x18, b"21000229000000Z");
    }),
    ("a time that is a text", "der_malformed", |e| {
        e.certs[LEAF].validity.1 = der::tlv(0x0c, b"260115150000Z");
    }),
    ("something else, and then clients, in an extended key usage", "path_invalid", |e| {
        let value = der::seq(&[&der::tlv(4, &[1]), CLIENT_AUTH]);
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], false, value));
    }),
    ("a critical extended key usage that is no SEQUENCE", "certificate_critical_extension", |e| {
        e.certs[LEAF].extensions.push(Extension::new(&[0x55, 0x1d, 37], true, der::tlv(4, &[1])));
    }),
    ("basicConstraints of TRUE and an OCTET STRING", "der_malformed", |e| {
        e.certs[INSTANCE].extension(19).value = der::seq(&[&[1, 1, 0xff], &[4, 1, 0]]);
    }),
    ("basicConstraints of TRUE twice", "der_malformed", |e| {
        e.certs[INSTANCE].extension(19).value = der::seq(&[&[1, 1, 0xff], &[1, 1, 0xff]]);
    }),
    ("basicConstraints of a BOOLEAN of two bytes", "der_malformed", |e| {
        e.certs[INSTANCE].extension(19).value = der::seq(&[&[1, 2, 0xff, 0xff]]);
    }),
];

/// id-kp-clientAuth.
pub(super) const CLIENT_AUTH: &[u8] = &[6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 2];

/// Nothing but this after the leaf's key.
fn after_key(enclave: &mut Enclave, bytes: &[u8]) {
    let leaf = &mut enclave.certs[LEAF];
    leaf.extensions.clear();
    leaf.after_extensions = bytes.to_vec();
}

/// A unique id before the extensions.
fn unique_id(enclave: &mut Enclave, tag: u8) {
    let leaf = &mut enclave.certs[LEAF];
    let extensions: Vec<_> = leaf.extensions.iter().map(|e| extension(&e.id, &e.value)).collect();
    leaf.extensions.clear();
    leaf.after_extensions =
        [der::tlv(tag, &[0, 7]), der::tlv(0xa3, &der::tlv(0x30, &extensions.concat()))].concat();
}

/// An extension that is not critical.
fn extension(id: &[u8], value: &[u8]) -> Vec<u8> {
    der::seq(&[&der::tlv(6, id), &der::tlv(4, value)])
}

/// A SEQUENCE with more elements at its end.
fn inside(sequence: &[u8], more: &[u8]) -> Vec<u8> {
    let header = if sequence[1] == 0x82 {
        4
    } else if sequence[1] == 0x81 {
        3
    } else {
        2
    };
    der::tlv(0x30, &[&sequence[header..], more].concat())
}

/// The `AlgorithmIdentifier` of ecdsa-with-SHA384.
fn algorithm() -> Vec<u8> {
    der::tlv(0x30, ECDSA_SHA384)
}

/// A certificate's tbsCertificate, and what follows it. Both have lengths of three bytes.
fn parts(certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let length = usize::from(u16::from_be_bytes([certificate[6], certificate[7]]));
    let (tbs, rest) = certificate[4..].split_at(4 + length);
    (tbs.to_vec(), rest.to_vec())
}

/// `bytes` without the first occurrence of `part`.
fn without(bytes: Vec<u8>, part: &[u8]) -> Vec<u8> {
    let at = bytes.windows(part.len()).position(|window| window == part).unwrap();
    [&bytes[..at], &bytes[at + part.len()..]].concat()
}

/// A name of one attribute with this value.
fn named(value: &[u8]) -> Vec<u8> {
    let attribute = der::seq(&[&der::tlv(6, &[0x55, 4, 3]), value]);
    der::seq(&[&der::tlv(0x31, &attribute)])
}
