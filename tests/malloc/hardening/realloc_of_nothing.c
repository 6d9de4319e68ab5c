/* A pointer is resized that never was a block. */
#include "misuse.h"

int main(void) {
    int number = 0;
    return realloc(hidden(&number), 100) == NULL ? survived() : 1;
}
