/* A block of 10 MB is freed a second time when another has its place, whose owner frees it then. */
#include "misuse.h"

int main(void) {
    char *block = take(10000000);
    free(block);
    char *other = take(10000000);
    if (other != block)
        return 1;
    free(block);
    free(other);
    return survived();
}
