/* A pointer into the middle of a block of 100,000 bytes is freed. */
#include "misuse.h"

int main(void) {
    char *block = take(100000);
    free(block + 4096);
    return survived();
}
