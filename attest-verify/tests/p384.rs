//! The suite with the portable provider, which is the default.

mod suite;
mod vectors;

use ok2cry_attest_verify::Provider;

fn provider() -> Provider {
    Provider::p384()
}

#[test]
fn it_is_the_default() {
    assert_eq!(Provider::default().name(), "p384");
}
