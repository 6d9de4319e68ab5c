/* Threads that end while others free their blocks. */
#include "surroundings.h"

enum { PLACES = 4096 };
static _Atomic(char *) places[PLACES];

/* Leaves blocks for others, frees what others left, and ends, its front and slabs with it. */
static void *brief(void *seed) {
    unsigned random = (unsigned)(uintptr_t)seed;
    for (int round = 0; round < 2000; round++) {
        random = random * 1664525u + 1013904223u;
        size_t size = (random >> 4) % (round % 10 == 0 ? 20000 : 500) + sizeof(size_t);
        char *block = malloc(size);
        check(block != NULL, "no memory");
        memcpy(block, &size, sizeof size);
        block[size - 1] = sizeof size < size ? 7 : block[size - 1];
        block = atomic_exchange(&places[random >> 20], block);
        if (block != NULL) {
            memcpy(&size, block, sizeof size);
            check(size < 21000 && (size == sizeof size || block[size - 1] == 7), "somebody else wrote here");
            free(block);
        }
    }
    return NULL;
}

int main(void) {
    for (uintptr_t generation = 0; generation < 60; generation++) {
        pthread_t threads[8];
        for (uintptr_t number = 0; number < 8; number++)
            check(pthread_create(&threads[number], NULL, brief, (void *)(generation * 8 + number)) == 0, "no thread");
        for (int number = 0; number < 8; number++)
            pthread_join(threads[number], NULL);
    }
    for (int place = 0; place < PLACES; place++)
        free(places[place]);
    return done();
}
