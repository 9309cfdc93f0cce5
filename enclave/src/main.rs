//! The enclave program of the image: PID 1, with the NSM device, vsock and a measured configuration.

fn main() -> std::process::ExitCode {
    ok2cry_enclave::boot::run()
}
