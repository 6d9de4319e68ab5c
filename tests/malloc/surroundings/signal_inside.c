/* The handler of a signal allocates while its thread is in the allocator, at a system call that it makes. */
#include "surroundings.h"
#include <stdarg.h>

static atomic_int armed;

static void handler(int number) { work((unsigned)number, 3000); }

/* In the place of the C library's, by which the allocator calls the kernel. */
long syscall(long number, ...) {
    va_list arguments;
    va_start(arguments, number);
    long given[6];
    for (int place = 0; place < 6; place++)
        given[place] = va_arg(arguments, long);
    va_end(arguments);
    if (number == SYS_mmap && atomic_exchange(&armed, 0))
        raise(SIGUSR1);
    return kernel(number, given[0], given[1], given[2], given[3], given[4], given[5]);
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
