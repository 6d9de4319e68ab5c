/* A string constant is freed. */
#include "misuse.h"

int main(void) {
    free(hidden("constant"));
    return survived();
}
