/* What all the programs share: functions that the compiler does not see through. */
#define _GNU_SOURCE
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *hidden(const void *pointer) {
    void *volatile copy = (void *)pointer;
    return copy;
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
