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

        [[class]]
        sizes = { from = 32, to = 1024, steps_per_doubling = 4 }
    }
}
