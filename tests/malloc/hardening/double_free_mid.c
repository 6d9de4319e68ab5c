/* A block of 100,000 bytes is freed twice. */
#include "misuse.h"

int main(void) {
    char *block = take(100000);
    free(block);
    free(block);
    malloc_trim(0);
    return survived();
}
