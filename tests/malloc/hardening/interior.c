/* A pointer into the middle of a small block is freed. */
#include "misuse.h"

int main(void) {
    char *block = take(200);
    free(block + 48);
    malloc_trim(0);
    return survived();
}
