//! The default stack under other policies.

stack! {
    /// Frees wait in a queue and reach the first layer many at a time.
    deferred {
        [defaults]
        layers = ["unified", "sll"]
        free = "deferred"

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified", "sll"]
        free = "deferred"
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// Slabs fill `sll`, and `unified` takes from there.
    legacy {
        [defaults]
        layers = ["unified", "sll"]
        refill = "legacy"

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified", "sll"]
        refill = "legacy"
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A thread of the allocator's own keeps batches ready.
    background {
        [defaults]
        layers = ["unified", "sll"]
        refill = "background"

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified", "sll"]
        refill = "background"
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A byte in front of each block tells its class. A block then serves one byte less than its size, so that 1,024
    /// needs a larger class.
    region_id {
        [defaults]
        layers = ["unified", "sll"]
        header = "region-id"

        [[class]]
        sizes = { from = 32, to = 1280, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified", "sll"]
        header = "region-id"
        stats = true

        [[class]]
        sizes = { from = 32, to = 1280, steps_per_doubling = 4 }
    }
}
