//! The statement: an enclave attests that it received a nonce, and when.

use crate::{
    DecodeError, Record,
    cbor::{Reader, Writer},
    descriptor::read_nonce,
    ids::Nonce,
};

const TYPE: &str = "ok2cry/statement/v1";

/// The record that answers `GET /v1/attestation`: a leaf of an attested batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// The nonce of the request.
    pub nonce: Nonce,
    /// When it was made, in Unix milliseconds on the enclave's trusted clock.
    pub time: u64,
}

impl Record for Statement {
    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::with_capacity(128);
        w.map(3).key(0).text(TYPE).key(1).bytes(self.nonce.as_bytes()).key(2).uint(self.time);
        w.finish()
    }

    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let r = &mut Reader::new("statement", bytes);
        let mut m = r.map("map")?;
        m.key(r, "type")?;
        r.record_type(TYPE)?;
        m.key(r, "nonce")?;
        let nonce = read_nonce(r, "nonce")?;
        m.key(r, "time")?;
        let time = r.time("time")?;
        m.end(r)?;
        r.end()?;
        Ok(Self { nonce, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let statement = Statement { nonce: Nonce::new([5; 64]).unwrap(), time: 1 };
        assert_eq!(Statement::decode(&statement.encode()), Ok(statement));
    }
}
