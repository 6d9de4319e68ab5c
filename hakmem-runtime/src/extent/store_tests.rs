//! The page store against a model: random extents are taken out, made longer, cut in two, put back and purged.

use super::page_store::{PageStore, Wanted};
use super::segment::{Record, Segment, UNIT};
use std::vec::Vec;

const ID: u8 = 252;

/// An extent in use.
#[derive(Clone, Copy)]
struct Used {
    segment: Segment,
    unit: usize,
    length: usize,
}

fn wanted(length: usize, align: usize) -> Wanted {
    Wanted::exactly(length, align)
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

/// Checks every invariant of the store against what is in use, unit by unit.
fn check(store: &PageStore, all: &[Used]) {
    let (mut free, mut dirty) = (0, 0);
    for segment in store.segments.iter() {
        let mut unit = segment.usable_units().start;
        let mut after_free = false;
        while unit < segment.usable_units().end {
            let used = all.iter().find(|used| used.segment == segment && used.unit == unit);
            let length = match (segment.record(unit), used) {
                (Record::Free { node }, None) => {
                    let extent = store.free.get(node).expect("the record leads to a node");
                    assert_eq!((extent.segment, extent.unit), (segment, unit));
                    assert_eq!(segment.record(extent.end() - 1), Record::Free { node });
                    assert!(!after_free, "two free extents are adjacent");
                    assert_eq!(extent.dirty, segment.count_dirty(unit..extent.end()));
                    free += extent.length;
                    dirty += extent.dirty;
                    extent.length
                }
                (Record::Used { length, .. }, Some(used)) if length == used.length => length,
                (record, used) => {
                    panic!("{record:?} at {unit}, where {} is in use", used.map_or(0, |used| used.length))
                }
            };
            let (first, last) = (unit + 1, unit + length - 1);
            assert!((first..last).all(|unit| segment.record(unit) == Record::Inside));
            after_free = used.is_none();
            unit += length;
        }
        assert_eq!(unit, segment.usable_units().end);
    }
    let used: usize = all.iter().map(|used| used.length).sum();
    let rooms: usize = store.segments.iter().map(|segment| segment.usable_units().len()).sum();
    assert_eq!((store.used, store.free.dirty, used + free), (used, dirty, rooms));
}

fn use_it(used: Used) -> Used {
    used.segment.set_record(used.unit, Record::Used { length: used.length, offset: 0 });
    used
}

#[test]
fn every_record_agrees_after_every_operation() {
    let mut store = PageStore::EMPTY;
    let mut random = Random(7);
    let mut all: Vec<Used> = Vec::new();
    assert!(store.reserve_nodes());
    for _ in 0..2 {
        store.add(Segment::map((ID, 0), 500, 1, 0).expect("memory"), 0);
    }
    for now in 0..4000 {
        match random.below(8) {
            0..4 => {
                let (length, align) = (1 + random.below(60), UNIT << random.below(6));
                if let Some(taken) = store.take(wanted(length, align)) {
                    assert!(taken.segment.address(taken.unit).is_multiple_of(align));
                    assert_eq!(taken.dirty, taken.segment.count_dirty(taken.unit..taken.unit + length));
                    all.push(use_it(Used { segment: taken.segment, unit: taken.unit, length }));
                }
            }
            4 if !all.is_empty() => {
                let index = random.below(all.len());
                let used = &mut all[index];
                let more = 1 + random.below(10);
                if store.extend_used(used.segment, used.unit + used.length, more) {
                    used.length += more;
                    use_it(*used);
                }
            }
            5 if !all.is_empty() => {
                let index = random.below(all.len());
                let used = &mut all[index];
                if used.length > 1 && store.split_used() {
                    let keep = 1 + random.below(used.length - 1);
                    let tail = Used { unit: used.unit + keep, length: used.length - keep, ..*used };
                    used.length = keep;
                    let used = use_it(*used);
                    all[index] = used;
                    all.push(use_it(tail));
                }
            }
            6 => {
                if let Some(extent) = store.take_oldest(now, 100) {
                    extent.segment.set_clean(extent.unit..extent.end());
                    store.put_purged(&extent, 0);
                }
            }
            _ if !all.is_empty() => {
                let Used { segment, unit, length } = all.swap_remove(random.below(all.len()));
                segment.set_dirty(unit..unit + length);
                store.put(segment, unit, length, length, now);
            }
            _ => {}
        }
        check(&store, &all);
    }
    // All of it, and both segments are one free extent each again.
    for Used { segment, unit, length } in std::mem::take(&mut all) {
        store.put(segment, unit, length, 0, 0);
        segment.set_clean(unit..unit + length);
    }
    for _ in 0..2 {
        let whole = store.take_oldest(u32::MAX / 2, 0).expect("a segment");
        assert!(whole.is_whole_segment());
        store.remove(&whole);
        assert!(whole.segment.unmap());
    }
    assert_eq!((store.used, store.segments.units, store.segments.iter().count()), (0, 0, 0));
}

#[test]
fn memory_that_is_resident_is_used_before_memory_that_is_not() {
    let mut store = PageStore::EMPTY;
    assert!(store.reserve_nodes());
    let segment = Segment::map((ID, 0), 500, 1, 0).expect("memory");
    store.add(segment, 0);
    let mut take = |length| store.take(wanted(length, 1)).map(|taken| taken.unit).expect("there is room");
    let (first, _between, third) = (take(50), take(10), take(100));
    let _last = take(10);
    segment.set_dirty(third..third + 100);
    store.put(segment, third, 100, 100, 0);
    store.put(segment, first, 50, 0, 0);
    assert_eq!(store.take(wanted(40, 1)).map(|taken| (taken.unit, taken.dirty)), Some((third, 40)));
}
