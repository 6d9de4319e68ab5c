/* Alignments that are no powers of two are refused where POSIX and C say so. */
#include "misuse.h"

int main(void) {
    void *block = NULL;
    if (posix_memalign(&block, (size_t)hidden((void *)24), 100) != EINVAL || block != NULL)
        return 1;
    errno = 0;
    return aligned_alloc((size_t)hidden((void *)24), 96) == NULL && errno == EINVAL ? survived() : 1;
}
