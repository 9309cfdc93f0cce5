//! The demo's web page, and the services behind it. The programs are `ok2cry-demo` and `release-drill`.

pub mod site;

pub use site::DemoSite;
