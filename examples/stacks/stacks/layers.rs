//! Stacks that differ in their layers.

stack! {
    /// One bounded list.
    unified {
        [defaults]
        layers = ["unified"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// The default.
    unified_sll {
        [defaults]
        layers = ["unified", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// The default once more, to show how much two equal programs differ.
    unified_sll_again {
        [defaults]
        layers = ["unified", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// One list without a bound.
    sll {
        [defaults]
        layers = ["sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A ring, so that the block freed first is used first.
    ring_sll {
        [defaults]
        layers = ["ring", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["ring", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A small stack of pointers.
    fast {
        [defaults]
        layers = ["fast"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["fast"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A small stack of pointers, and a list behind it.
    fast_sll {
        [defaults]
        layers = ["fast", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["fast", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A stack of pointers that grows where blocks come back soon.
    sfc_sll {
        [defaults]
        layers = ["sfc", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["sfc", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A list without a count.
    c23 {
        [defaults]
        layers = ["c23"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["c23"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// The default with two to four slots in front.
    ultrahot_unified_sll {
        [defaults]
        layers = ["ultrahot", "unified", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["ultrahot", "unified", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// Magazines that threads exchange through a depot.
    heapv2 {
        [defaults]
        layers = ["heapv2"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["heapv2"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// Magazines, and a list for what the depot does not take.
    heapv2_sll {
        [defaults]
        layers = ["heapv2", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["heapv2", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A run of fresh blocks, then a list.
    hot {
        [defaults]
        layers = ["hot"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["hot"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// A run of fresh blocks, then a list, and another behind it.
    hot_sll {
        [defaults]
        layers = ["hot", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["hot", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// Lists in the slabs themselves.
    pages {
        [defaults]
        layers = ["pages"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["pages"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// One bounded list in front of the slabs' own.
    unified_pages {
        [defaults]
        layers = ["unified", "pages"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["unified", "pages"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}

stack! {
    /// Freed blocks are filled with a pattern, wait, and are looked at; a list behind that.
    quarantine_sll {
        [defaults]
        layers = ["quarantine", "sll"]

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
    counted {
        [defaults]
        layers = ["quarantine", "sll"]
        stats = true

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}
