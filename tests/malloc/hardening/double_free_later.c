/* A block is freed twice, with many allocations and frees in between. */
#include "misuse.h"

int main(void) {
    static char *blocks[5000];
    char *block = take(64);
    others_wait();
    free(block);
    for (int i = 0; i < 5000; i++)
        blocks[i] = take(100);
    for (int i = 0; i < 5000; i++)
        free(blocks[i]);
    malloc_trim(0);
    free(block);
    malloc_trim(0);
    return survived();
}
