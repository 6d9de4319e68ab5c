//! Statistics, computed on request from the metadata of all slabs. Hits count nothing for them.

use crate::global::Allocator;
use core::fmt;

/// The statistics of one class. Other threads may allocate and free while they are read, so the numbers need not be of
/// one and the same moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes per block.
    pub block_size: u64,
    /// Blocks that the slabs have handed out: allocated by the program, or cached by a layer.
    pub blocks_live: u64,
    /// Blocks carved from the slabs since these got their class, live or free.
    pub blocks_carved: u64,
    /// Spans that have this class.
    pub slabs: u64,
    /// Bytes of the carved blocks: about what of the spans was touched, and so is resident.
    pub bytes_committed: u64,
    /// Bytes of address space in the spans.
    pub bytes_reserved: u64,
}

impl ClassStats {
    /// Bytes in live blocks.
    pub fn bytes_live(&self) -> u64 {
        self.blocks_live * self.block_size
    }

    /// Bytes of carved blocks that are not live.
    pub fn bytes_waste(&self) -> u64 {
        self.bytes_committed.saturating_sub(self.bytes_live())
    }

    fn add(&mut self, other: &ClassStats) {
        self.blocks_live += other.blocks_live;
        self.blocks_carved += other.blocks_carved;
        self.slabs += other.slabs;
        self.bytes_committed += other.bytes_committed;
        self.bytes_reserved += other.bytes_reserved;
    }
}

/// The statistics of an allocator. `Display` prints a table; [`Stats::json`] is for machines. Reading them allocates
/// nothing and takes no lock.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    allocator: &'static Allocator,
}

/// How many classes one pass over the slabs counts. Their rows are on the stack, where a small thread has little room.
const ROWS: usize = 16;

impl Stats {
    /// Statistics of `allocator`. For generated code.
    #[doc(hidden)]
    pub const fn of(allocator: &'static Allocator) -> Stats {
        Stats { allocator }
    }

    /// Calls `row` for each class, smallest first. Passes over the slabs of all regions once for every 16 classes.
    pub fn for_each(&self, mut row: impl FnMut(ClassStats)) {
        let mut rows = [ClassStats::default(); ROWS];
        let mut after = 0;
        loop {
            let rows = self.next_rows(after, &mut rows);
            let Some(last) = rows.last() else { return };
            after = last.block_size;
            rows.iter().for_each(|counted| row(*counted));
        }
    }

    /// The rows of the smallest classes above a size, counted in one pass over the slabs.
    fn next_rows<'a>(&self, after: u64, rows: &'a mut [ClassStats; ROWS]) -> &'a [ClassStats] {
        let classes = self.allocator.classes();
        let (mut size, mut count) = (after, 0);
        for row in rows.iter_mut() {
            let above = classes.iter().map(|class| u64::from(class.size)).filter(|&other| other > size);
            let Some(next) = above.min() else { break };
            *row = ClassStats { block_size: next, ..ClassStats::default() };
            (size, count) = (next, count + 1);
        }
        let rows = rows.get_mut(..count).unwrap_or_default();
        self.each_slab(|slab| {
            if let Some(row) = rows.iter_mut().find(|row| row.block_size == slab.block_size) {
                row.add(slab);
            }
        });
        rows
    }

    /// Calls `one` with the statistics of each slab that has a class. Of a slab it reads atomics only, as other threads
    /// may own it.
    pub(crate) fn each_slab(&self, mut one: impl FnMut(&ClassStats)) {
        let backing = self.allocator.backing();
        let geometry = backing.pool().geometry();
        for slab in backing.pool().regions().flat_map(|region| region.slabs(geometry)) {
            let Some(class) = self.allocator.classes().get(slab.class_index() as usize) else { continue };
            let (carved, live) = (u64::from(slab.carved()), u64::from(slab.handed_out().min(slab.carved())));
            one(&ClassStats {
                block_size: class.size.into(),
                blocks_live: live,
                blocks_carved: carved,
                slabs: 1,
                bytes_committed: carved * u64::from(class.size),
                bytes_reserved: u64::from(class.slabs) << geometry.slab_shift,
            });
        }
    }

    /// The statistics as a JSON object.
    pub fn json(&self) -> StatsJson {
        StatsJson(*self)
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "   size   blocks live     carved   slabs   live KiB  committed KiB  waste")?;
        let mut total = ClassStats::default();
        let mut live = 0;
        let mut result = Ok(());
        self.for_each(|row| {
            total.add(&row);
            live += row.bytes_live();
            if row.slabs > 0 && result.is_ok() {
                result = write!(f, "{:>7} ", row.block_size).and_then(|()| line(f, &row, row.bytes_live()));
            }
        });
        result?;
        write!(f, "    all ")?;
        line(f, &total, live)
    }
}

/// Writes the columns of a row but the first. `live` is its number of live bytes.
fn line(f: &mut fmt::Formatter<'_>, row: &ClassStats, live: u64) -> fmt::Result {
    let waste = row.bytes_committed.saturating_sub(live) * 1000 / row.bytes_committed.max(1);
    writeln!(
        f,
        "{:>13} {:>10} {:>7} {:>10} {:>14} {:>4}.{}%",
        row.blocks_live,
        row.blocks_carved,
        row.slabs,
        live / 1024,
        row.bytes_committed / 1024,
        waste / 10,
        waste % 10,
    )
}

/// [`Stats`] as JSON: `{"classes":[{"size":…,"blocks_live":…,…},…]}`, sizes in bytes, without the classes that have no
/// slabs.
#[derive(Debug, Clone, Copy)]
pub struct StatsJson(Stats);

impl fmt::Display for StatsJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{\"classes\":[")?;
        let mut result = Ok(());
        let mut first = true;
        self.0.for_each(|row| {
            if row.slabs == 0 || result.is_err() {
                return;
            }
            result = write!(
                f,
                "{}{{\"size\":{},\"blocks_live\":{},\"blocks_carved\":{},\"slabs\":{},\"bytes_live\":{},\
                 \"bytes_committed\":{},\"bytes_reserved\":{},\"bytes_waste\":{}}}",
                if first { "" } else { "," },
                row.block_size,
                row.blocks_live,
                row.blocks_carved,
                row.slabs,
                row.bytes_live(),
                row.bytes_committed,
                row.bytes_reserved,
                row.bytes_waste(),
            );
            first = false;
        });
        result?;
        f.write_str("]}")
    }
}
