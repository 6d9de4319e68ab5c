/* A block of 10 MB is freed a second time when another has its place, whose owner frees it then. */
#include "misuse.h"

int main(void) {
    char *block, *other;
    others_wait();
    /* Once more where a purge comes in between. */
    do {
        block = take(10000000);
        free(block);
        other = take(10000000);
    } while (other != block);
    free(block);
    free(other);
    return survived();
}
