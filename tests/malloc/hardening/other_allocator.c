/* A block is freed that another allocator of this kind handed out, in a library that was loaded. */
#include "misuse.h"
#include <dlfcn.h>

int main(int count, char **arguments) {
    void *other = dlopen(arguments[count - 1], RTLD_NOW | RTLD_LOCAL);
    void *(*allocate)(size_t) = other == NULL ? NULL : dlsym(other, "malloc");
    if (allocate == NULL || allocate == malloc)
        return 1;
    char *block = allocate(64);
    take(64);
    free(block);
    return survived();
}
