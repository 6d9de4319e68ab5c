/* A pointer is freed that no allocation could have returned. */
#include "misuse.h"

int main(void) {
    char *block = take(200);
    free(block + 3);
    malloc_trim(0);
    return survived();
}
