/* A block of 10 MB, which has a mapping of its own, is freed twice. */
#include "misuse.h"

int main(void) {
    char *block = take(10000000);
    free(block);
    free(block);
    return survived();
}
