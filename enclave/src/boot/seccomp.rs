//! The system calls that a serving enclave may make. Any other kills the process, and with PID 1 the machine.
//!
//! The process can read and write open files, use vsock, call the Nitro Secure Module, wait, and start
//! threads. It cannot start a process, make memory executable, open a file for writing, mount, trace, or open
//! any other socket.

use libc::{SYS_clone3, c_long};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::{collections::BTreeMap, env::consts::ARCH};

/// The kernel does not accept the filter. The enclave does not serve without it.
#[derive(Debug, thiserror::Error)]
#[error("the seccomp filter cannot be applied: {0}")]
pub struct SeccompError(String);

/// Applies the filter to this thread and all threads that it starts.
///
/// # Errors
///
/// If the kernel has no seccomp.
pub fn apply() -> Result<(), SeccompError> {
    for filter in [no_clone3(), allow_list()] {
        let program = compile(filter).map_err(|e| SeccompError(e.to_string()))?;
        apply_filter(&program).map_err(|e| SeccompError(e.to_string()))?;
    }
    Ok(())
}

/// Calls that are allowed whatever their arguments.
#[rustfmt::skip]
const ALLOWED: &[c_long] = &[
    // Open files.
    libc::SYS_read, libc::SYS_write, libc::SYS_readv, libc::SYS_writev, libc::SYS_close, libc::SYS_lseek,
    libc::SYS_fstat, libc::SYS_newfstatat, libc::SYS_statx,
    // Streams.
    libc::SYS_bind, libc::SYS_listen, libc::SYS_accept4, libc::SYS_connect, libc::SYS_shutdown,
    libc::SYS_getsockopt, libc::SYS_setsockopt, libc::SYS_getsockname, libc::SYS_getpeername,
    libc::SYS_sendto, libc::SYS_recvfrom, libc::SYS_sendmsg, libc::SYS_recvmsg,
    // Waiting.
    libc::SYS_epoll_create1, libc::SYS_epoll_ctl, libc::SYS_epoll_pwait, libc::SYS_epoll_pwait2,
    libc::SYS_ppoll, libc::SYS_eventfd2, libc::SYS_futex, libc::SYS_nanosleep, libc::SYS_clock_nanosleep,
    libc::SYS_restart_syscall, libc::SYS_sched_yield, libc::SYS_wait4,
    // Time and randomness.
    libc::SYS_clock_gettime, libc::SYS_clock_getres, libc::SYS_gettimeofday, libc::SYS_getrandom,
    // Memory that holds data.
    libc::SYS_brk, libc::SYS_munmap, libc::SYS_mremap, libc::SYS_madvise, libc::SYS_mlock, libc::SYS_mlock2,
    libc::SYS_munlock, libc::SYS_membarrier,
    // Threads and their end.
    libc::SYS_set_robust_list, libc::SYS_rseq, libc::SYS_sched_getaffinity, libc::SYS_getpid,
    libc::SYS_gettid, libc::SYS_exit, libc::SYS_exit_group, libc::SYS_tgkill, libc::SYS_reboot,
    libc::SYS_rt_sigaction, libc::SYS_rt_sigprocmask, libc::SYS_rt_sigreturn, libc::SYS_sigaltstack,
];

/// Calls that only some architectures have.
#[cfg(target_arch = "x86_64")]
const ALLOWED_HERE: &[c_long] = &[libc::SYS_epoll_wait, libc::SYS_poll];
#[cfg(not(target_arch = "x86_64"))]
const ALLOWED_HERE: &[c_long] = &[];

/// The Nitro Secure Module's only ioctl: `_IOWR(0x0A, 0, struct nsm_raw)`, two `iovec`s (Linux,
/// `uapi/linux/nsm.h`).
const NSM_IOCTL: u64 = 0xc020_0a00;

type ArgumentRules = Vec<SeccompRule>;
type Filter = (BTreeMap<c_long, ArgumentRules>, SeccompAction, SeccompAction);

fn allow_list() -> Result<Filter, seccompiler::BackendError> {
    let flag = |flag: i32| u64::from(flag.unsigned_abs());
    // None of these flags may be set.
    let read_only =
        flag(libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_TMPFILE & !libc::O_DIRECTORY);
    let executable = flag(libc::PROT_EXEC);
    let thread = flag(libc::CLONE_THREAD | libc::CLONE_VM);
    let equals = |argument, value| only(argument, SeccompCmpOp::Eq, value);
    let lacks = |argument, mask| only(argument, SeccompCmpOp::MaskedEq(mask), 0);
    let has = |argument, mask| only(argument, SeccompCmpOp::MaskedEq(mask), mask);

    let any = ALLOWED.iter().chain(ALLOWED_HERE).map(|call| (*call, ArgumentRules::new()));
    let mut rules: BTreeMap<_, _> = any.collect();
    rules.extend([
        (libc::SYS_openat, vec![lacks(2, read_only)?]),
        (libc::SYS_mmap, vec![lacks(2, executable)?]),
        (libc::SYS_mprotect, vec![lacks(2, executable)?]),
        // The vsock crate makes sockets non-blocking by ioctl.
        (libc::SYS_ioctl, vec![equals(1, NSM_IOCTL)?, equals(1, libc::FIONBIO)?]),
        (libc::SYS_socket, vec![equals(0, flag(libc::AF_VSOCK))?]),
        // Signals reach tokio through a pair of sockets.
        (libc::SYS_socketpair, vec![equals(0, flag(libc::AF_UNIX))?]),
        (
            libc::SYS_fcntl,
            [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL, libc::F_SETFL, libc::F_DUPFD_CLOEXEC]
                .map(|command| equals(1, flag(command)))
                .into_iter()
                .collect::<Result<_, _>>()?,
        ),
        (
            libc::SYS_prctl,
            vec![equals(0, flag(libc::PR_SET_NAME))?, equals(0, PR_SET_VMA)?, equals(0, PR_GET_AUXV)?],
        ),
        // The new limits are a pointer: null reads the limits, any other sets them.
        (libc::SYS_prlimit64, vec![is_null(2)?]),
        (libc::SYS_clone, vec![has(0, thread)?]),
        (SYS_clone3, ArgumentRules::new()),
    ]);
    Ok((rules, SeccompAction::KillProcess, SeccompAction::Allow))
}

/// glibc names its heaps with this operation.
const PR_SET_VMA: u64 = 0x5356_4d41;
/// rustix finds the vDSO with this operation.
const PR_GET_AUXV: u64 = 0x4155_5856;

/// `clone3` has its flags in memory, which a filter cannot read. Given `ENOSYS`, glibc falls back to `clone`.
fn no_clone3() -> Result<Filter, seccompiler::BackendError> {
    let enosys = SeccompAction::Errno(libc::ENOSYS.unsigned_abs());
    Ok(([(SYS_clone3, ArgumentRules::new())].into(), SeccompAction::Allow, enosys))
}

/// A rule about the lower 32 bits of an argument, because the kernel ignores the rest of an `int`.
fn only(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompRule, seccompiler::BackendError> {
    rule(argument, SeccompCmpArgLen::Dword, operator, value)
}

/// A rule about a pointer, of which all 64 bits count.
fn is_null(argument: u8) -> Result<SeccompRule, seccompiler::BackendError> {
    rule(argument, SeccompCmpArgLen::Qword, SeccompCmpOp::Eq, 0)
}

fn rule(
    argument: u8,
    length: SeccompCmpArgLen,
    operator: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![SeccompCondition::new(argument, length, operator, value)?])
}

fn compile(
    filter: Result<Filter, seccompiler::BackendError>,
) -> Result<BpfProgram, seccompiler::BackendError> {
    let (rules, otherwise, matched) = filter?;
    SeccompFilter::new(rules, otherwise, matched, ARCH.try_into()?)?.try_into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::{net, process, time};
    use std::time::Duration;
    use std::{env, fs, net::TcpListener, os::unix::process::ExitStatusExt as _, process::Command, thread};
    use tokio::time::timeout;
    use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener, VsockStream};

    /// The variable with the name of the child's probe.
    const PROBE: &str = "OK2CRY_SECCOMP_PROBE";

    /// Runs one probe under the filter in a process of its own. Returns the signal that killed it.
    fn probe(name: &str) -> Option<i32> {
        let mut child = Command::new(env::current_exe().unwrap());
        child.args(["--exact", "boot::seccomp::tests::child", "--test-threads=1"]).env(PROBE, name);
        let status = child.output().unwrap().status;
        assert!(status.signal().is_some() || status.success(), "{name}: {status}");
        status.signal()
    }

    /// The child process. Without a probe it does nothing.
    #[test]
    fn child() {
        let Ok(name) = env::var(PROBE) else { return };
        apply().unwrap();
        match name.as_str() {
            "work" => {
                let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
                let sum = runtime
                    .block_on(async { tokio::task::spawn_blocking(|| vec![1_u8; 1 << 20].len()).await });
                assert_eq!(sum.unwrap(), 1 << 20);
                // A machine without vsock fails these calls; the booted image tests them then.
                runtime.block_on(async {
                    drop(VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, 47_114)));
                    drop(
                        timeout(Duration::from_millis(50), VsockStream::connect(VsockAddr::new(3, 9000)))
                            .await,
                    );
                });
                thread::spawn(|| fs::read("/proc/self/stat").unwrap()).join().unwrap();
                getrandom::fill(&mut [0; 32]).unwrap();
                let _ = time::clock_gettime(time::ClockId::Boottime);
            }
            "process" => drop(Command::new("/bin/true").status()),
            "write" => drop(fs::write("/tmp/ok2cry-seccomp-probe", "x")),
            "append" => drop(fs::OpenOptions::new().append(true).open("/dev/null")),
            "tcp" => drop(TcpListener::bind("127.0.0.1:0")),
            "unix" => drop(net::socket(net::AddressFamily::UNIX, net::SocketType::STREAM, None)),
            "kill" => drop(process::kill_process(process::getpid(), process::Signal::TERM)),
            "chdir" => drop(process::chdir("/")),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn threads_timers_memory_and_reading_work_under_the_filter() {
        assert_eq!(probe("work"), None);
    }

    #[test]
    fn other_system_calls_kill_the_process() {
        for name in ["process", "write", "append", "tcp", "unix", "kill", "chdir"] {
            assert_eq!(probe(name), Some(libc::SIGSYS), "{name}");
        }
    }

    /// The verdict of the allow list on a call, by running the filter as the kernel does (Linux,
    /// `filter.rst`).
    fn verdict(call: c_long, arguments: [u64; 6]) -> u32 {
        let program = compile(allow_list()).unwrap();
        // struct seccomp_data: number, architecture, instruction pointer, arguments; little-endian words.
        let audit_arch_x86_64 = 0xc000_003e_u32;
        let mut data = vec![u32::try_from(call).unwrap(), audit_arch_x86_64, 0, 0];
        data.extend(
            arguments.iter().flat_map(|a| [u32::try_from(a & 0xffff_ffff).unwrap(), (a >> 32) as u32]),
        );
        let (mut at, mut a) = (0, 0_u32);
        loop {
            let i = &program[at];
            at += 1;
            let jump = |taken: bool| usize::from(if taken { i.jt } else { i.jf });
            match i.code {
                0x20 => a = data[i.k as usize / 4],
                0x54 => a &= i.k,
                0x05 => at += i.k as usize,
                0x15 => at += jump(a == i.k),
                0x25 => at += jump(a > i.k),
                0x35 => at += jump(a >= i.k),
                0x06 => return i.k,
                other => panic!("an instruction {other:#x}"),
            }
        }
    }

    #[test]
    fn limits_are_read_and_never_set() {
        let limits_at = |pointer| verdict(libc::SYS_prlimit64, [0, 7, pointer, 0, 0, 0]);
        assert_eq!(limits_at(0), libc::SECCOMP_RET_ALLOW);
        // The lower 32 bits of the second are null.
        for pointer in [0x7fff_0000, 0x1_0000_0000, u64::MAX] {
            assert_eq!(limits_at(pointer), libc::SECCOMP_RET_KILL_PROCESS, "{pointer:#x}");
        }
    }

    #[test]
    fn the_allowed_ioctl_is_the_one_of_the_nsm() {
        // direction read and write, size of struct nsm_raw, magic, number
        let size = 2 * size_of::<libc::iovec>() as u64;
        assert_eq!(NSM_IOCTL, 3 << 30 | size << 16 | 0x0A << 8);
    }
}
