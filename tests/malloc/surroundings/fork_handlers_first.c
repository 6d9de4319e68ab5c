/* Handlers of fork that were registered before anybody allocated, and so run between the allocator's. They allocate. */
#include "surroundings.h"

static atomic_int prepared, parents;

static void prepare(void) {
    prepared++;
    work(1, 300);
}

static void parent(void) {
    parents++;
    work(2, 300);
}

static void child(void) { work(3, 300); }

static void first(void) { pthread_atfork(prepare, parent, child); }

__attribute__((section(".preinit_array"), used)) static void (*before_constructors)(void) = first;

int main(void) {
    fork_and_work(40);
    check(prepared == 40 && parents == 40, "not all handlers ran");
    return done();
}
