/* reallocarray is asked for more than there are addresses: it has to refuse, and to leave the block. */
#include "misuse.h"

int main(void) {
    char *block = take(64);
    memset(block, 7, 64);
    errno = 0;
    if (reallocarray(block, (size_t)hidden((void *)(SIZE_MAX / 4)), 8) != NULL || errno != ENOMEM || block[63] != 7)
        return 1;
    free(block);
    return survived();
}
