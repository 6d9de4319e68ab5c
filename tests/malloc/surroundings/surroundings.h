/* What the programs share: work for the allocator, threads that do it, and the end. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void check(int holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "%s\n", what);
        _exit(1);
    }
}

/* Allocates, writes, resizes and frees blocks of all kinds of sizes, so that hits, slow paths and mappings take part. */
static inline void work(unsigned seed, int rounds) {
    char *blocks[64] = {0};
    for (int round = 0; round < rounds; round++) {
        seed = seed * 1664525u + 1013904223u;
        unsigned place = seed >> 26;
        size_t size = (seed >> 8) % (round % 50 == 0 ? 3000000 : round % 5 == 0 ? 30000 : 1000) + 1;
        free(blocks[place]);
        blocks[place] = malloc(size);
        check(blocks[place] != NULL, "no memory");
        blocks[place][0] = blocks[place][size - 1] = (char)size;
        if (round % 7 == 0) {
            blocks[place] = realloc(blocks[place], 2 * size);
            check(blocks[place] != NULL && blocks[place][size - 1] == (char)size, "realloc lost something");
        }
    }
    for (int place = 0; place < 64; place++)
        free(blocks[place]);
}

static atomic_int stop;
static pthread_t workers[4];

static inline void *worker(void *number) {
    for (unsigned round = 0; !stop; round++)
        work((unsigned)(uintptr_t)number * 1000 + round, 100);
    return NULL;
}

static inline void start_workers(void) {
    for (uintptr_t number = 0; number < 4; number++)
        check(pthread_create(&workers[number], NULL, worker, (void *)number) == 0, "no thread");
}

static inline void stop_workers(void) {
    stop = 1;
    for (int number = 0; number < 4; number++)
        pthread_join(workers[number], NULL);
}

static inline void wait_for(pid_t child) {
    int status = -1;
    check(child > 0 && waitpid(child, &status, 0) == child, "no child");
    check(status == 0, "the child failed");
}

/* Forks so many times; each child does so much work. */
static inline void fork_children(int rounds, int times) {
    for (int round = 0; round < rounds; round++) {
        pid_t pid = fork();
        if (pid == 0) {
            work(round, times);
            _exit(0);
        }
        wait_for(pid);
    }
}

/* The same while other threads work. */
static inline void fork_and_work(int rounds) {
    start_workers();
    fork_children(rounds, 500);
    stop_workers();
}

/* A system call, without the C library. */
static inline long kernel(long number, long a, long b, long c, long d, long e, long f) {
    register long fourth __asm__("r10") = d, fifth __asm__("r8") = e, sixth __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "+a"(number)
                     : "D"(a), "S"(b), "d"(c), "r"(fourth), "r"(fifth), "r"(sixth)
                     : "rcx", "r11", "memory");
    if (number > -4096 && number < 0) {
        errno = (int)-number;
        return -1;
    }
    return number;
}

static inline int done(void) {
    puts("done");
    return 0;
}
