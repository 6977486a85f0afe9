//! The system's settings for a program that runs for days.

/// Bytes from which a block gets its own mapping, which goes back to the system when it is freed: less than a picture
/// of the smallest cameras (320×240 takes 115,200 in 4:2:0).
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MAPPING: libc::c_int = 64 * 1024;

/// Keeps memory flat while streams come and go.
///
/// glibc begins with 128 KiB, but raises that limit, up to 32 MiB, to every mapped block that is freed (`mallopt(3)`,
/// `M_MMAP_THRESHOLD`). Pictures of several sizes from several threads then share the heap with what lives long, and
/// its holes never go back: four streams grew by 60 KB/s while what they held stayed the same. A limit that was set
/// stays where it is. Other C libraries have no such limit.
pub fn settle() {
    raise_descriptors();
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[expect(unsafe_code, reason = "mallopt has no safe wrapper")]
    // SAFETY: `mallopt` takes two integers, locks the allocator itself, and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, OWN_MAPPING);
    }
}

/// As many open files as the system allows: cameras, clips and pages each take some.
fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // What is refused stays as it was.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
