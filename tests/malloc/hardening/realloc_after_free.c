/* A freed block of 10 MB is resized. */
#include "misuse.h"

int main(void) {
    char *block = take(10000000);
    free(block);
    return realloc(block, 20000000) == NULL ? survived() : 1;
}
