/* A pointer into the middle of a small block is freed, before which the program has put a copy of the block's own header. */
#include "misuse.h"

int main(void) {
    char *block = take(200);
    block[47] = block[-1];
    free(block + 48);
    malloc_trim(0);
    return survived();
}
