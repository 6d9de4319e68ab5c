/* Blocks of 64 bytes are written eight bytes too far, then all of them are freed. */
#include "misuse.h"

int main(void) {
    char *blocks[64];
    for (int i = 0; i < 64; i++)
        blocks[i] = take(64);
    for (int i = 0; i < 64; i++)
        memset(blocks[i], 'x', malloc_usable_size(blocks[i]) + 8);
    for (int i = 0; i < 64; i++)
        free(blocks[i]);
    malloc_trim(0);
    return survived();
}
