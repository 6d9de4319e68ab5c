/* A library that allocates is loaded, used by several threads and unloaded, again and again; its blocks outlive it. */
#include "surroundings.h"
#include <dlfcn.h>

static void *use(void *function) {
    return ((char *(*)(int))function)(100);
}

int main(int count, char **arguments) {
    check(count == 2, "the library is the argument");
    start_workers();
    for (int round = 0; round < 50; round++) {
        void *library = dlopen(arguments[1], RTLD_NOW);
        check(library != NULL, "no library");
        void *function = dlsym(library, "make");
        pthread_t threads[4];
        char *made[4];
        for (int number = 0; number < 4; number++)
            check(pthread_create(&threads[number], NULL, use, function) == 0, "no thread");
        for (int number = 0; number < 4; number++)
            pthread_join(threads[number], (void **)&made[number]);
        check(dlclose(library) == 0, "not to be closed");
        for (int number = 0; number < 4; number++) {
            check(strcmp(made[number], "made by a library") == 0, "its block is gone");
            free(made[number]);
        }
    }
    stop_workers();
    return done();
}
