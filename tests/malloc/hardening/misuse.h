/* What all the programs share: functions that the compiler does not see through. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void *hidden(const void *pointer) {
    void *volatile copy = (void *)pointer;
    return copy;
}

/* How many more threads there are, how many of them wait, and whether they are to. */
static int others;
static atomic_int waiting, to_wait;

/* Seven more threads that allocate and free, if the test wants them. */
static void *beside(void *seed) {
    unsigned random = (unsigned)(uintptr_t)seed;
    char *blocks[64] = {0};
    for (;;) {
        if (atomic_load(&to_wait)) {
            atomic_fetch_add(&waiting, 1);
            for (;;)
                pause();
        }
        random = random * 1664525u + 1013904223u;
        free(blocks[random >> 26]);
        blocks[random >> 26] = malloc((random >> 8) % ((random & 255) == 0 ? 300000 : 2000) + 1);
    }
}

__attribute__((constructor)) static void start_threads(void) {
    const char *count = getenv("HAKMEM_TEST_THREADS");
    for (uintptr_t number = 1; count != NULL && number < (uintptr_t)atoi(count); number++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, beside, (void *)number) != 0)
            exit(1);
        others++;
    }
}

/* From here on the others keep what they have: what this thread gives back stays free. */
static inline void others_wait(void) {
    atomic_store(&to_wait, 1);
    while (atomic_load(&waiting) < others)
        usleep(100);
}

/* A block, in a thread that has allocated and freed before, so that what follows can be a hit. */
static inline char *take(size_t size) {
    free(hidden(malloc(16)));
    return hidden(malloc(size));
}

/* The end of a program that nothing stopped. */
static int survived(void) {
    puts("survived");
    return 0;
}
