//! The demo's web site: a shop's page, and the services behind it.
//!
//! The programs `ok2cry-demo` (`make demo`) and `release-drill` (`make release-drill`) are in `src/bin/`; the
//! page's sources and its committed build are in `page/`.

pub mod site;
pub mod verdict;

pub use site::DemoSite;
