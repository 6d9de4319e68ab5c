//! Giving free memory of all shards back to the system: what waited long enough, what exceeds a limit, and what would add to
//! the program's peak.

use super::extents::{Extents, SHARED};
use super::free_extents::FreeExtent;
use super::local_cache::{self, LocalCache};
use super::moves;
use super::segment::{Record, Segment, UNIT};
use super::shard::Shard;
use crate::sys::clock;
use crate::sys::lock::Guard;
use crate::sys::mmap;
use core::iter;
use core::sync::atomic::Ordering;

/// What may be kept in any case, in units (1 MiB), for each shard.
const FREE_MARGIN: usize = (1 << 20) / UNIT;

/// What may be kept beyond the peak of what is in use, as a fraction of it: an eighth; a quarter where the alternative is to
/// touch the many pages of a long extent.
const KEPT_SHARE: usize = 8;
const KEPT_SHARE_LONG: usize = 4;

/// The kernel refuses to take back a range with locked pages in it (mlock(2)). It is tried again in smaller pieces, down to
/// this many units: 64 KiB, the largest page size.
const PIECE: usize = (64 << 10) / UNIT;

/// After so many refusals the rest of an extent is left alone: all of it may be locked.
const REFUSALS: usize = 16;

/// The most units that go back in one call (16 MiB): meanwhile the kernel makes other threads wait that map or unmap.
const AT_ONCE: usize = (16 << 20) / UNIT;

/// Where too much is kept, a thread that has not freed a large block for so many milliseconds counts as idle.
const IDLE_MS: u32 = 8;

/// For the rest of the runtime.
impl Extents {
    /// Gives back what the allocator with this id has had free for at least `delay` milliseconds.
    pub(crate) fn purge(&self, id: u8, now: u32, delay: u32) {
        self.regain(id, now);
        // What another thread has taken out of a cache at this moment is in no shard yet.
        self.empty_caches_alone(&self.emptying.lock(), now, true);
        self.purge_units(self.over_limit().0);
        if delay > 0 && self.is_oom() && now.wrapping_sub(self.oom_since.load(Ordering::Relaxed)) as i32 >= delay as i32
        {
            // By now the system may have memory again.
            self.set_oom(0);
        }
        for shard in self.shards() {
            let purge_all = || iter::from_fn(|| self.purge_oldest(shard, now, delay, usize::MAX)).sum::<usize>();
            let aged = purge_all();
            if aged > 0 && delay > 0 {
                self.unattended.note_aged(aged);
                self.share_caches();
            }
            // What was locked may not be any more. It is tried again as long as that gives anything back.
            if shard.with_store(|store| store.is_retry_due(now, delay)) {
                let retry = || shard.with_store(|store| store.retry_refused(now.wrapping_sub(delay)));
                while retry() && purge_all() > 0 {}
            }
        }
    }

    /// The age of the oldest memory that waits for a purge: how long ago it was freed, or the kernel last refused to take it
    /// back. What is cached may have been freed just now, and what moves have left was tried just now.
    pub(crate) fn oldest(&self, now: u32) -> Option<u32> {
        let cached = (self.cached() > 0 || moves::is_any_left()).then_some(0);
        self.shards().flat_map(|shard| [shard.oldest_age(now), shard.retry_age(now)]).flatten().chain(cached).max()
    }

    /// Gives back as many dirty bytes as are about to be touched elsewhere, so that what is kept does not add to a
    /// program's peak.
    #[inline]
    pub(crate) fn make_room(&self, cache: &LocalCache, bytes: usize) {
        if cache.units() > 0 || self.shards().any(|shard| shard.dirty() > 0) {
            self.make_room_cold(cache, bytes / UNIT);
        }
    }

    #[cold]
    #[inline(never)]
    fn make_room_cold(&self, cache: &LocalCache, units: usize) {
        let dirty: usize = self.shards().map(Shard::dirty).sum();
        if dirty < units {
            self.empty(Some(cache));
        }
        self.purge_units(units);
    }
}

impl Extents {
    /// How many units exceed what may be resident after `length` units were taken: the peak of what is in use (which this
    /// updates), a fraction of it, and a margin for each shard. The `replaced` units, which are freed next, do not count.
    pub(super) fn excess(&self, length: usize, replaced: usize) -> usize {
        let (used, dirty, peak) = self.note_peak(replaced);
        self.over_peak(length, used, dirty, peak)
    }

    /// Updates the peak of what is in use. Returns what `in_use` does.
    pub(super) fn note_peak(&self, replaced: usize) -> (usize, usize, usize) {
        let (used, dirty, peak) = self.in_use(replaced);
        if used > peak {
            self.peak.fetch_max(used, Ordering::Relaxed);
        }
        (used, dirty, peak)
    }

    /// Whether `more` units could be touched without an excess. This does not update the peak, since they may not be taken:
    /// `excess` does, when they are.
    pub(super) fn has_room(&self, more: usize) -> bool {
        let (used, dirty, peak) = self.in_use(0);
        self.over_peak(more, used.saturating_add(more), dirty, peak) == 0
    }

    /// Takes back what moves have lost, as far as nothing else is there.
    #[inline(never)]
    fn regain(&self, id: u8, now: u32) {
        if !moves::is_any_left() {
            return;
        }
        let length_of = |segment: Segment, address| match segment.record(segment.unit(address)) {
            Record::Held { length } => length * UNIT,
            _ => 0, // Which no kernel maps.
        };
        moves::regain(id, length_of, |segment, address| {
            let (unit, length) = (segment.unit(address), length_of(segment, address) / UNIT);
            if let Some(shard) = self.shard_of(segment) {
                shard.with_store(|store| {
                    segment.set_clean(unit..unit + length);
                    store.put(segment, unit, length, 0, now);
                });
            }
        });
    }

    /// By how many units `used` and `dirty` together exceed what may be resident, if `length` units are taken.
    fn over_peak(&self, length: usize, used: usize, dirty: usize, peak: usize) -> usize {
        let peak = peak.max(used);
        let share = if length >= SHARED { KEPT_SHARE_LONG } else { KEPT_SHARE };
        let kept = peak.saturating_add(peak / share).saturating_add(FREE_MARGIN * self.shards().count());
        used.saturating_add(dirty).saturating_sub(kept)
    }

    /// The units in use, those free and dirty or cached, and the peak of the first.
    fn in_use(&self, replaced: usize) -> (usize, usize, usize) {
        let add = |(used, dirty), shard: &Shard| (used + shard.used(), dirty + shard.dirty());
        let (held, dirty) = self.shards().fold((0, 0), add);
        let cached = self.cached();
        (held.saturating_sub(cached + replaced), dirty + cached, self.peak.load(Ordering::Relaxed))
    }

    /// How many units are in the threads' caches, but for those that could not be emptied.
    pub(super) fn cached(&self) -> usize {
        self.caches().filter(|cache| !cache.is_stuck()).map(LocalCache::units).sum()
    }

    /// The caches of all threads.
    fn caches(&self) -> impl Iterator<Item = &'static LocalCache> {
        local_cache::starting_at(self.caches.get())
    }

    /// Moves what is in the caches of idle threads, or of all threads, to the shards, where it counts as freed at `since`. A
    /// cache that its thread is using at this moment is left out. Does nothing while another thread does it.
    #[inline(never)]
    pub(super) fn empty_caches(&self, since: u32, all: bool) {
        if let Some(emptying) = self.emptying.try_lock() {
            self.empty_caches_alone(&emptying, since, all);
        }
    }

    /// The same, by the one thread that does it.
    #[inline(never)]
    fn empty_caches_alone(&self, _emptying: &Guard<'_, ()>, since: u32, all: bool) {
        let wanted = |cache: &LocalCache| cache.is_idle() || all;
        local_cache::empty(self.caches.get(), wanted, |next| self.put_back(next, since));
    }

    /// Empties the caches of threads that have been idle for `IDLE_MS`, if that was not done within that time.
    fn empty_idle_caches(&self, now: u32) {
        let checked = self.idle_checked.load(Ordering::Relaxed);
        if now.wrapping_sub(checked) >= IDLE_MS {
            self.idle_checked.store(now, Ordering::Relaxed);
            self.empty_caches(now.wrapping_sub(IDLE_MS), false);
        }
    }

    /// How many dirty free units exceed the limit, and that. Close to it, the caches are closed.
    fn over_limit(&self) -> (usize, usize) {
        let add = |(used, dirty), shard: &Shard| (used + shard.used(), dirty + shard.dirty());
        let (used, dirty) = self.shards().fold((0, 0), add);
        let limit = self.limit.min(self.unattended.limit(used));
        let closed = dirty > limit - limit / 4 || self.is_oom();
        if self.caches_closed.load(Ordering::Relaxed) != closed {
            self.caches_closed.store(closed, Ordering::Relaxed);
        }
        (dirty.saturating_sub(limit), limit)
    }

    /// Gives back what exceeds the limit, and a sixteenth of the limit more, so that this is not needed for every free.
    pub(super) fn purge_to_limit(&self) {
        match self.over_limit() {
            (0, _) => {}
            (excess, limit) => {
                let excess = excess + limit / 16;
                self.unattended.note_given_back(excess);
                self.purge_units(excess);
            }
        }
    }

    /// Gives back at least `units` dirty units, the oldest first.
    #[inline(never)]
    pub(super) fn purge_units(&self, mut units: usize) {
        if units == 0 {
            return;
        }
        let now = clock::now_ms();
        self.empty_idle_caches(now);
        // What was cached counts towards the limit from now on.
        units = units.max(self.over_limit().0);
        while units > 0 {
            let with_age = |shard: &'static Shard| Some((shard.oldest_age(now)?, shard));
            let dirty = self.shards().filter(|shard| shard.dirty() > 0);
            let Some((_, shard)) = dirty.filter_map(with_age).max_by_key(|&(age, _)| age as i32) else { return };
            let Some(purged) = self.purge_oldest(shard, now, 0, units) else { return };
            units = units.saturating_sub(purged.max(1));
        }
    }

    /// Gives back a shard's extent that has been free for longest, if that is at least `delay` milliseconds: up to `most` of
    /// its dirty units, or all of its segment if that is free. Returns how many units the system took. `None`: no extent is
    /// old enough.
    #[inline(never)]
    fn purge_oldest(&self, shard: &Shard, now: u32, delay: u32, most: usize) -> Option<usize> {
        // The extent is held now, so the lock is not needed during the system call.
        let extent = shard.with_store(|store| store.take_oldest(now, delay))?;
        if !extent.is_whole_segment() || extent.dirty > most {
            return Some(purge_extent(shard, &extent, most));
        }
        shard.with_store(|store| store.remove(&extent));
        if extent.dirty > AT_ONCE {
            purge_in_pieces(&extent);
        }
        let moved = extent.segment.moves();
        if extent.segment.unmap() {
            moves::give_back(moved);
            return Some(extent.dirty);
        }
        shard.with_store(|store| store.restore(&extent));
        // As if freed after `now`, so that this purge does not take it again.
        Some(purge_extent(shard, &FreeExtent { since: now.wrapping_add(1), ..extent }, most))
    }
}

/// Gives the dirty units of an extent back that is unmapped next, so that this takes no long time at once.
#[inline(never)]
fn purge_in_pieces(extent: &FreeExtent) {
    let segment = extent.segment;
    let mut from = extent.unit;
    loop {
        let run = segment.dirty_run(from..extent.end());
        if run.is_empty() {
            return;
        }
        from = run.end.min(run.start.saturating_add(AT_ONCE));
        mmap::purge(segment.address(run.start), (from - run.start) * UNIT);
    }
}

/// Gives back up to `most` dirty units of an extent that the caller holds, and puts it back. Returns how many.
#[inline(never)]
fn purge_extent(shard: &Shard, extent: &FreeExtent, most: usize) -> usize {
    let &FreeExtent { segment, unit, length, .. } = extent;
    let end = unit + length;
    let (mut purged, mut from) = (0, unit);
    let (mut refusals, mut piece, mut refused) = (0, AT_ONCE, false);
    // What the system took, and whose bits are still to be written.
    let mut clean = unit..unit;
    while purged < most {
        let run = segment.dirty_run(from..end);
        if run.is_empty() {
            from = end;
            break;
        }
        let whole_pages = (most - purged).checked_next_multiple_of(mmap::page_size() / UNIT).unwrap_or(most);
        let run = run.start..run.end.min(run.start.saturating_add(whole_pages.min(piece)));
        if mmap::purge(segment.address(run.start), run.len() * UNIT) {
            if clean.end != run.start {
                shard.with_store(|_| segment.set_clean(clean.clone()));
                clean = run.clone();
            }
            clean.end = run.end;
            purged += run.len();
            from = run.end;
            piece = piece.saturating_mul(4).min(AT_ONCE);
            continue;
        }
        refusals += 1;
        if refusals == REFUSALS {
            from = end;
        } else if run.len() <= PIECE {
            (from, piece) = (run.end, AT_ONCE);
        } else {
            piece = (run.len() / 4).next_multiple_of(PIECE);
            continue;
        }
        refused = true;
    }
    // What was refused no longer counts as dirty: else each purge to a limit would try it again.
    shard.with_store(|store| {
        segment.set_clean(clean);
        store.refused |= refused;
        store.put_purged(extent, segment.count_dirty(from..end));
    });
    purged
}
