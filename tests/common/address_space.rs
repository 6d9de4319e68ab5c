//! A limit of address space, as of a machine that has no more memory.

/// Limits the address space of this process, which must be the test's own, to what there is now and `more` bytes.
pub(crate) fn limit_address_space(more: usize) {
    let limit = libc::rlimit { rlim_cur: (mapped() + more) as libc::rlim_t, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: the limit is a valid one.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &raw const limit) }, 0);
}

/// Bytes of address space of this process.
fn mapped() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    let pages: usize = statm.split(' ').next().and_then(|number| number.parse().ok()).expect("a number of pages");
    // SAFETY: sysconf has no preconditions.
    pages * usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).expect("a page has a size")
}
