//! Reproducible ramdisks: newc cpio in gzip. No byte depends on the build machine.
//!
//! The kernel unpacks an image's ramdisks one after the other into its root file system
//! (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`). Entries are sorted by path; times,
//! owners, inodes and devices are zero; the gzip header holds neither name nor time nor operating system. The
//! bytes depend on the deflater too, which the lock file pins.

use flate2::{Compression, GzBuilder};
use std::{
    collections::BTreeMap,
    io::{self, Write},
};

/// The path of the enclave's configuration.
pub const CONFIGURATION: &str = "etc/ok2cry/enclave.toml";
/// The path of the text that the kernel's command line must begin with: the kernel's built-in part and the
/// image's. PCRs do not measure where the command line of an image begins and ends; this file does.
pub const COMMAND_LINE: &str = "etc/ok2cry/cmdline";
/// The path of the program that the kernel starts.
pub const INIT: &str = "init";

/// The first ramdisk: the mount points for the program's file systems.
///
/// # Errors
///
/// Only those of writing to memory.
pub fn boot() -> io::Result<Vec<u8>> {
    pack(["dev", "proc", "sys"].map(|path| (path, Entry::Directory)).into())
}

/// The second ramdisk: the program, its configuration, and what `/proc/cmdline` must begin with.
///
/// # Errors
///
/// A file of 4 GiB or more.
pub fn application(init: &[u8], configuration: &[u8], running_cmdline: &str) -> io::Result<Vec<u8>> {
    pack(BTreeMap::from([
        ("etc", Entry::Directory),
        ("etc/ok2cry", Entry::Directory),
        (COMMAND_LINE, Entry::File { mode: 0o444, content: running_cmdline.as_bytes() }),
        (CONFIGURATION, Entry::File { mode: 0o444, content: configuration }),
        (INIT, Entry::File { mode: 0o555, content: init }),
    ]))
}

/// The fields of an entry's header that differ between entries, besides lengths.
#[derive(Clone, Copy)]
struct Inode {
    mode: u32,
    links: u32,
}

enum Entry<'a> {
    Directory,
    File { mode: u32, content: &'a [u8] },
}

/// Packs entries in order of their paths. A directory's path is a prefix of its entries' paths, so it comes
/// first, as the kernel requires.
fn pack(entries: BTreeMap<&str, Entry<'_>>) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::best());
    for (path, entry) in entries {
        match entry {
            Entry::Directory => write_entry(&mut gzip, path, Inode { mode: 0o040_755, links: 2 }, &[])?,
            Entry::File { mode, content } => {
                write_entry(&mut gzip, path, Inode { mode: 0o100_000 | mode, links: 1 }, content)?;
            }
        }
    }
    write_entry(&mut gzip, "TRAILER!!!", Inode { mode: 0, links: 1 }, &[])?;
    gzip.finish()
}

/// Writes an entry: 110 bytes of header, the path with a zero, the content. Path and content are padded to 4
/// bytes.
fn write_entry(to: &mut impl Write, path: &str, inode: Inode, content: &[u8]) -> io::Result<()> {
    let too_long =
        |_| io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is too long for a ramdisk"));
    let size = u32::try_from(content.len()).map_err(too_long)?;
    let path_size = u32::try_from(path.len() + 1).map_err(too_long)?;
    // Inode, mode, uid, gid, links, time, size, four device numbers, size of the path, checksum (unused in
    // newc).
    let fields = [0, inode.mode, 0, 0, inode.links, 0, size, 0, 0, 0, 0, path_size, 0];
    to.write_all(b"070701")?;
    for field in fields {
        write!(to, "{field:08x}")?;
    }
    write!(to, "{path}\0")?;
    to.write_all(padding(110 + path.len() + 1))?;
    to.write_all(content)?;
    to.write_all(padding(content.len()))
}

fn padding(len: usize) -> &'static [u8] {
    match len % 4 {
        1 => &[0; 3],
        2 => &[0; 2],
        3 => &[0; 1],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::read::GzDecoder;
    use std::{fs, io::Read, process::Command};

    fn unpacked(ramdisk: &[u8]) -> Vec<u8> {
        let mut archive = Vec::new();
        GzDecoder::new(ramdisk).read_to_end(&mut archive).unwrap();
        archive
    }

    #[test]
    fn a_ramdisk_is_independent_of_its_build_machine() {
        let ramdisk = application(b"program", b"configuration", "quiet").unwrap();
        // RFC 1952: magic, deflate, no flags, no time, best compression, unknown operating system.
        assert_eq!(ramdisk[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255]);
        let archive = unpacked(&ramdisk);
        assert_eq!(archive.len() % 4, 0);
        let header = std::str::from_utf8(&archive[..110]).unwrap();
        let fields: Vec<_> = (6..110).step_by(8).map(|at| &header[at..at + 8]).collect();
        let zero = "00000000";
        assert_eq!(fields[..7], [zero, "000041ed", zero, zero, "00000002", zero, zero]);
        assert_eq!(ramdisk, application(b"program", b"configuration", "quiet").unwrap());
    }

    /// Another implementation reads the archive, if it is installed.
    #[test]
    fn cpio_unpacks_what_was_packed() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("archive");
        for length in 0..9 {
            let content = vec![b'x'; length];
            fs::write(&file, unpacked(&application(&content, b"c = 1\n", "quiet").unwrap())).unwrap();
            let list = Command::new("cpio")
                .args([
                    "--extract",
                    "--make-directories",
                    "--quiet",
                    "--unconditional",
                    "--no-preserve-owner",
                ])
                .current_dir(directory.path())
                .stdin(fs::File::open(&file).unwrap())
                .status();
            match list {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return,
                status => assert!(status.unwrap().success()),
            }
            assert_eq!(fs::read(directory.path().join(INIT)).unwrap(), content);
            assert_eq!(fs::read(directory.path().join(CONFIGURATION)).unwrap(), b"c = 1\n");
            assert_eq!(fs::read(directory.path().join(COMMAND_LINE)).unwrap(), b"quiet");
        }
    }
}
