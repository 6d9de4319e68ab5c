/* The byte in front of a block is written, then the block is freed. */
#include "misuse.h"

int main(void) {
    take(64);
    char *block = take(64);
    block[-1] = 'x';
    free(block);
    malloc_trim(0);
    return survived();
}
