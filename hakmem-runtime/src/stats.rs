//! Statistics on request, computed from slab metadata: nothing is counted on a hit, so nothing is paid there.

use crate::global::Allocator;
use core::fmt;

/// A moment's books of one class. Other threads go on meanwhile, so sums may be off by what they do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassStats {
    /// Bytes a block.
    pub block_size: u64,
    /// Blocks that the slabs handed out: allocated by the program, or kept in some thread's front.
    pub blocks_live: u64,
    /// Blocks ever carved and not given back: live ones and free ones whose memory was touched.
    pub blocks_carved: u64,
    /// Spans of slabs that have this class.
    pub slabs: u64,
    /// Bytes of these slabs that were touched, and so are resident.
    pub bytes_committed: u64,
    /// Bytes of address space in these slabs.
    pub bytes_reserved: u64,
}

impl ClassStats {
    /// Bytes in live blocks.
    pub fn bytes_live(&self) -> u64 {
        self.blocks_live * self.block_size
    }

    /// Touched bytes in no live block.
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

/// The statistics of an allocator: `Display` is a table, [`Stats::json`] a machine-readable form. Reading them allocates
/// nothing and takes no lock.
#[derive(Debug, Clone, Copy)]
pub struct Stats {
    allocator: &'static Allocator,
}

/// Rows of the table on the stack: as many as a spec may have classes.
const ROWS: usize = 255;

impl Stats {
    /// Statistics of `allocator`. For generated code.
    #[doc(hidden)]
    pub const fn of(allocator: &'static Allocator) -> Stats {
        Stats { allocator }
    }

    /// Calls `row` for each class, smallest first.
    pub fn for_each(&self, mut row: impl FnMut(ClassStats)) {
        let rows = self.rows();
        let mut size = 0;
        while let Some(next) = rows.iter().filter(|row| row.block_size > size).min_by_key(|row| row.block_size) {
            size = next.block_size;
            row(*next);
        }
    }

    /// One pass over all slabs of all regions. Reads nothing of a slab but its atomics.
    fn rows(&self) -> [ClassStats; ROWS] {
        let mut rows = [ClassStats::default(); ROWS];
        let classes = self.allocator.classes();
        for (row, class) in rows.iter_mut().zip(classes) {
            row.block_size = u64::from(class.size);
        }
        let geometry = self.allocator.pool().geometry();
        for slab in self.allocator.pool().regions().flat_map(|region| region.slabs(geometry)) {
            let class = slab.class() as usize;
            let (Some(row), Some(shape)) = (rows.get_mut(class), classes.get(class)) else { continue };
            let (carved, live) = (u64::from(slab.carved()), u64::from(slab.handed_out().min(slab.carved())));
            row.add(&ClassStats {
                block_size: 0,
                blocks_live: live,
                blocks_carved: carved,
                slabs: 1,
                bytes_committed: carved * u64::from(shape.size),
                bytes_reserved: u64::from(shape.slabs) << geometry.slab_shift,
            });
        }
        rows
    }

    /// The same as one JSON object.
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

/// [`Stats`] as JSON: `{"classes":[{"size":…,"blocks_live":…,…},…]}`, sizes in bytes, classes without slabs left out.
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
