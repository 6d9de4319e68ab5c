/* The handler of a signal forks while its thread is in the allocator, at a system call that it makes. The child may not
   allocate before the handler returns. One child ends there, the other goes on. */
#include "at_syscall.h"

static pid_t child = -1;
static int goes_on;

static void handler(int number) {
    (void)number;
    child = fork();
    if (child == 0 && !goes_on)
        _exit(0);
}

int main(void) {
    signal(SIGUSR1, handler);
    work(1, 100);
    for (goes_on = 0; goes_on < 2; goes_on++) {
        armed = 1;
        for (int block = 0; block < 4000; block++)
            check(malloc(100000) != NULL, "no memory");
        work(2, 1000);
        if (child == 0)
            _exit(0);
        /* glibc's own allocator does not call this function. */
        check(!armed || getenv("LD_PRELOAD") == NULL, "no mapping was made");
        if (!armed)
            wait_for(child);
    }
    return done();
}
