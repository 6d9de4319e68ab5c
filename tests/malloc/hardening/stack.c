/* An address on the stack is freed. */
#include "misuse.h"

int main(void) {
    char on_the_stack[64];
    free(hidden(on_the_stack));
    return survived();
}
