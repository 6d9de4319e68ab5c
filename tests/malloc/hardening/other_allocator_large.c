/* The same with a block of 10 MB. */
#include "misuse.h"
#include <dlfcn.h>

int main(int count, char **arguments) {
    void *other = dlopen(arguments[count - 1], RTLD_NOW | RTLD_LOCAL);
    void *(*allocate)(size_t) = other == NULL ? NULL : dlsym(other, "malloc");
    if (allocate == NULL || allocate == malloc)
        return 1;
    char *block = allocate(10000000);
    take(10000000);
    free(block);
    return survived();
}
