/* The handler of a signal allocates while its thread is in the allocator, at a system call that it makes. */
#include "surroundings.h"

static atomic_int armed;

static void handler(int number) { work((unsigned)number, 3000); }

/* In the place of the C library's, for all who call it. */
void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    if (atomic_exchange(&armed, 0))
        raise(SIGUSR1);
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

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
