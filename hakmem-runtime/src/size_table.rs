//! The tables from a layout to a class offset. The compiler evaluates a look-up for a constant layout.
//!
//! The macro emits a table as runs of class indices, which a person can read. The functions here are evaluated at
//! compile time and expand the runs to an array of class offsets.

/// The largest small size. The small table has an entry for each 8 bytes up to it.
const SMALL: usize = 1024;

/// Entries in a row of the small table.
const ENTRIES: usize = SMALL / 8 + 1;

/// Rows of the small table, by the logarithm of the alignment: from 1 to 128. So an index of three bits needs no check.
/// Alignments above C's 16 are mostly 64 and 128, which keep data of two processors on different cache lines.
pub(crate) const ROWS: usize = 8;

/// The class offset of the smallest class that serves a small size, by the logarithm of the alignment and by the size
/// in units of 8 bytes, rounded up; or `NO_OFFSET`.
pub type SmallTable = [[u16; ENTRIES]; ROWS];

/// The entry of a layout that no class serves.
pub(crate) const NO_OFFSET: u16 = u16::MAX;

/// The most classes of a spec (`MAX_CLASSES` of hakmem-spec).
pub(crate) const MAX_CLASSES: usize = 254;

/// A run of equal entries: the index of the last one, and their class index, or `UNSERVED`.
pub type ClassRun = (u32, u8);

/// What a run has instead of a class index if no class serves its entries.
const UNSERVED: u8 = u8::MAX;

/// The small table, from the runs of its rows: one for the alignments up to 8, which every class has, and those for 16,
/// 32, 64 and 128 (`hakmem_spec::ALIGNMENTS`, in order). `offsets` has the class offset of each class.
pub const fn small_table(offsets: &[u16], [all, to_16, to_32, to_64, to_128]: [&[ClassRun]; 5]) -> SmallTable {
    let rows = [all, all, all, all, to_16, to_32, to_64, to_128];
    let mut table = [[NO_OFFSET; ENTRIES]; ROWS];
    let mut row = 0;
    while row < ROWS {
        table[row] = expand(offsets, rows[row]);
        row += 1;
    }
    table
}

/// A table of `N` entries from its runs. No class serves the entries after the last run.
pub const fn expand<const N: usize>(offsets: &[u16], runs: &[ClassRun]) -> [u16; N] {
    let mut table = [NO_OFFSET; N];
    let (mut entry, mut run) = (0, 0);
    while run < runs.len() {
        let (last, class) = runs[run];
        while entry <= last as usize {
            if class != UNSERVED {
                table[entry] = offsets[class as usize];
            }
            entry += 1;
        }
        run += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_expanded_to_offsets() {
        const OFFSETS: [u16; 3] = [100, 200, 300];
        assert_eq!(
            expand::<7>(&OFFSETS, &[(1, 2), (2, 0), (4, UNSERVED), (5, 1)]),
            [300, 300, 100, NO_OFFSET, NO_OFFSET, 200, NO_OFFSET]
        );
        let table = small_table(&OFFSETS, [&[(128, 0)], &[(128, 1)], &[(4, 2)], &[], &[]]);
        assert_eq!([table[0][128], table[3][0], table[4][5], table[5][4]], [100, 100, 200, 300]);
        assert_eq!([table[5][5], table[6][0], table[7][128]], [NO_OFFSET; 3]);
    }
}
