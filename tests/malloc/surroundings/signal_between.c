/* The handler of a signal allocates while its thread is not in the allocator. */
#include "surroundings.h"

static atomic_int handled;

static void handler(int number) {
    int before = errno;
    work(number, 300);
    check(errno == before, "errno was changed");
    handled++;
}

int main(void) {
    start_workers();
    signal(SIGUSR1, handler);
    for (int round = 0; round < 200; round++) {
        work(round, 20);
        raise(SIGUSR1);
    }
    stop_workers();
    check(handled == 200, "not all signals were handled");
    return done();
}
