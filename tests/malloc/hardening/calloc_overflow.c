/* calloc is asked for more than there are addresses: it has to refuse. */
#include "misuse.h"

int main(void) {
    errno = 0;
    return calloc((size_t)hidden((void *)(SIZE_MAX / 4)), 8) == NULL && errno == ENOMEM ? survived() : 1;
}
