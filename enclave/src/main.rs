//! The enclave program of the image: PID 1, the device NSM, vsock, and a configuration that is part of what is measured.

fn main() -> std::process::ExitCode {
    ok2cry_enclave::boot::run()
}
