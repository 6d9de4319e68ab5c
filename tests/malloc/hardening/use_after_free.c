/* A freed block is written to, then many others of its size are allocated and freed. */
#include "misuse.h"

int main(void) {
    char *blocks[8];
    char *block = take(64);
    free(block);
    memset(block, 'x', 16);
    for (int round = 0; round < 100; round++) {
        for (int i = 0; i < 8; i++)
            blocks[i] = take(64);
        for (int i = 0; i < 8; i++)
            free(blocks[i]);
    }
    return survived();
}
