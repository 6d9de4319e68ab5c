/* Allocations before all constructors, by .preinit_array, and by one of the first. */
#include "surroundings.h"

static char *by_preinit, *by_constructor;

static void preinit(void) {
    work(1, 200);
    by_preinit = malloc(200);
    by_preinit[199] = 2;
}

__attribute__((section(".preinit_array"), used)) static void (*before_constructors)(void) = preinit;

__attribute__((constructor(101))) static void construct(void) {
    work(2, 200);
    by_constructor = malloc(300);
    by_constructor[299] = 3;
}

int main(void) {
    check(by_preinit[199] == 2 && by_constructor[299] == 3, "something was lost");
    work(3, 1000);
    free(by_preinit);
    free(by_constructor);
    work(4, 1000);
    return done();
}
