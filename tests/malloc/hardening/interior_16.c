/* A pointer 16 bytes into a block of 64 bytes is freed, as of an array whose length a C++ compiler put in front. */
#include "misuse.h"

int main(void) {
    char *block = take(64);
    free(block + 16);
    malloc_trim(0);
    return survived();
}
