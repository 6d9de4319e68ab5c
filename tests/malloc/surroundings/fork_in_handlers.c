/* A fork from within a handler of fork, which runs between the allocator's handlers. */
#include "surroundings.h"

static int depth;

static void prepare(void) {
    if (depth++ == 0) {
        pid_t pid = fork();
        if (pid == 0) {
            work(1, 200);
            _exit(0);
        }
        wait_for(pid);
    }
    work(2, 200);
    depth--;
}

static void first(void) { pthread_atfork(prepare, NULL, NULL); }

__attribute__((section(".preinit_array"), used)) static void (*before_constructors)(void) = first;

int main(void) {
    fork_and_work(10);
    return done();
}
