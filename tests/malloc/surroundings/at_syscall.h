/* A signal while the thread is in the allocator, at a system call that it makes: the next mapping raises SIGUSR1 once. */
#include "surroundings.h"
#include <stdarg.h>

static atomic_int armed;

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
