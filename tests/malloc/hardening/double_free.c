/* A block is freed twice, one right after the other. */
#include "misuse.h"

int main(void) {
    char *block = take(64);
    free(block);
    free(block);
    return survived();
}
