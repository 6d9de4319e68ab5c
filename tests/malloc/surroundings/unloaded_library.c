/* The library that `unloaded` loads: it allocates when it is loaded, used and unloaded, and in thread-local memory. */
#include <stdlib.h>
#include <string.h>

static char *kept;
static __thread char *of_thread;

__attribute__((constructor)) static void load(void) { kept = calloc(1, 5000); }

__attribute__((destructor)) static void unload(void) { free(realloc(kept, 100000)); }

char *make(int rounds) {
    for (int round = 0; round < rounds; round++) {
        free(of_thread);
        of_thread = malloc(round * 100);
    }
    free(of_thread);
    of_thread = NULL;
    return strdup("made by a library");
}
