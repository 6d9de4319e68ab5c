/* The last byte of a freed block of 100,000 bytes is written, then others of its size are allocated and freed. */
#include "misuse.h"

int main(void) {
    char *block = take(100000);
    free(block);
    block[99999]++;
    for (int round = 0; round < 10; round++)
        free(take(100000));
    return survived();
}
