//! The runtime's atomics, under `--cfg hakmem_sim`.

#[cfg(hakmem_sim)]
pub(crate) use hooked::{Step, Store, WITHOUT_MEMBARRIER, hook};
#[cfg(not(hakmem_sim))]
pub(crate) use plain::{Step, Store, WITHOUT_MEMBARRIER, hook};

#[cfg(hakmem_sim)]
mod hooked {
    use crate::plan::Control;
    use crate::schedule::{Event, is_simulated, me, point, with};
    use hakmem_runtime::simulated::{Operation, Simulator, simulate};
    pub(crate) use hakmem_runtime::simulated::{Step, Store};

    pub(crate) const WITHOUT_MEMBARRIER: Option<Control> = Some(Control::Without(Step::Membarrier));

    /// Has every operation be a point.
    pub(crate) fn hook() {
        simulate(&Hooks);
    }

    struct Hooks;

    impl Simulator for Hooks {
        fn before(&self, operation: Operation) {
            point(match operation {
                Operation::Load(_) => Event::Load,
                Operation::Store(_) => Event::Store,
                Operation::Exchange(_) => Event::Exchange,
                Operation::Fence => Event::Fence,
            });
        }
        fn keeps(&self, store: Store) -> bool {
            is_simulated() && {
                let me = me();
                with(|run| run.keep(me, store))
            }
        }
        fn kept(&self, address: usize) -> Option<u64> {
            if !is_simulated() {
                return None;
            }
            let me = me();
            with(|run| run.kept(me, address))
        }
        fn fails(&self) -> bool {
            is_simulated() && with(|run| run.random.below(16) == 0)
        }
        fn leaves_out(&self, step: Step) -> bool {
            is_simulated() && with(|run| run.plan.control == Control::Without(step))
        }
    }
}

/// The runtime as it ships: no step can be left out, no store is kept.
#[cfg(not(hakmem_sim))]
mod plain {
    use crate::plan::Control;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    pub(crate) enum Step {}

    #[derive(Debug, Clone, Copy)]
    pub(crate) struct Store {
        pub(crate) address: usize,
        pub(crate) value: u64,
    }

    impl Store {
        pub(crate) unsafe fn complete(self) {}
    }

    pub(crate) const WITHOUT_MEMBARRIER: Option<Control> = None;

    pub(crate) fn hook() {}
}
