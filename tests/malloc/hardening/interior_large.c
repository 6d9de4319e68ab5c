/* A pointer into the middle of a block of 10 MB is freed. */
#include "misuse.h"

int main(void) {
    char *block = take(10000000);
    free(block + 4194304);
    return survived();
}
