/* The handler of a signal allocates while its thread is in the allocator, at a system call that it makes. */
#include "at_syscall.h"

static void handler(int number) { work((unsigned)number, 3000); }

int main(void) {
    signal(SIGUSR1, handler);
    work(1, 100);
    /* More than the regions so far have room for, in blocks of the slabs. */
    armed = 1;
    for (int block = 0; block < 30000; block++)
        check(malloc(8000) != NULL, "no memory");
    check(!armed, "no mapping was made");
    return done();
}
