/* Threads with the smallest stack that POSIX allows call everything; and how much of a stack each path takes, which it
   prints if there is a second argument. */
#include "surroundings.h"
#include <dlfcn.h>
#include <malloc.h>
#include <ucontext.h>

enum { SIZES = 9 };
static const size_t sizes[SIZES] = {1, 100, 1000, 2000, 8000, 9000, 100000, 3000000, 40000000};
static FILE *stream;
static void *block;
static void *kept[2000];

static void use_malloc(void) {
    for (int size = 0; size < SIZES; size++)
        free(malloc(sizes[size]));
    for (int round = 0; round < 2000; round++)
        kept[round] = malloc(round * 8);
}

static void use_free(void) {
    for (int round = 0; round < 2000; round++)
        free(kept[round]);
}

static void use_calloc(void) {
    for (int size = 0; size < SIZES; size++)
        free(calloc(1, sizes[size]));
}

static void use_realloc(void) {
    for (int size = 0; size < SIZES; size++)
        block = realloc(block, sizes[size]);
    for (int size = SIZES; size-- > 0;)
        block = realloc(block, sizes[size]);
    free(block);
    block = NULL;
}

static void use_aligned(void) {
    for (size_t align = 16; align <= 8 << 20; align *= 2)
        for (int size = 0; size < SIZES; size += 3)
            free(aligned_alloc(align, sizes[size]));
}

static void use_trim(void) { malloc_trim(0); }
static void use_stats(void) { malloc_stats(); }
static void use_info(void) { malloc_info(0, stream); }
static void use_mallinfo(void) { mallinfo2(); }

static void all(void) {
    use_malloc();
    use_free();
    use_calloc();
    use_realloc();
    use_aligned();
    use_trim();
    use_stats();
    use_info();
    use_mallinfo();
}

static void nothing(void) {}

/* What docs/MALLOC.md says of a path; and the stack that is measured. */
enum { MOST = 3072, STACK = 256 << 10 };
static const struct {
    const char *name;
    void (*use)(void);
} paths[] = {{"malloc", use_malloc},       {"free", use_free},         {"calloc", use_calloc},
             {"realloc", use_realloc},     {"aligned", use_aligned},   {"malloc_trim", use_trim},
             {"malloc_stats", use_stats},  {"malloc_info", use_info},  {"mallinfo2", use_mallinfo},
             {"everything", all}};
enum { PATHS = sizeof paths / sizeof *paths };

static unsigned char stack[STACK] __attribute__((aligned(4096)));

static void paint(void) { memset(stack, 0xA5, STACK); }

static size_t touched(void) {
    size_t clean = 0;
    while (clean < STACK && stack[clean] == 0xA5)
        clean++;
    return STACK - clean;
}

/* How many bytes of a stack a call takes at most. */
static size_t taken(void (*use)(void)) {
    ucontext_t here, there;
    check(getcontext(&there) == 0, "no context");
    there.uc_stack.ss_sp = stack;
    there.uc_stack.ss_size = STACK;
    there.uc_link = &here;
    paint();
    makecontext(&there, use, 0);
    check(swapcontext(&here, &there) == 0, "no context");
    return touched();
}

static void *small(void *use) {
    ((void (*)(void))use)();
    return NULL;
}

/* How many bytes of its own stack a thread takes at most, with its end. */
static size_t taken_by_a_thread(void (*use)(void)) {
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    paint();
    check(pthread_attr_setstack(&attributes, stack, STACK) == 0, "no such stack");
    check(pthread_create(&thread, &attributes, small, use) == 0, "no thread");
    pthread_join(thread, NULL);
    return touched();
}

static void use_one(void) { free(malloc(100)); }

int main(int count, char **arguments) {
    (void)arguments;
    int errors = dup(2);
    stream = fopen("/dev/null", "w");
    check(stream != NULL && dup2(fileno(stream), 2) == 2, "no /dev/null");
    static char buffer[65536]; /* The C library takes 8 KiB of stack for a stream without one. */
    setvbuf(stream, buffer, _IOFBF, sizeof buffer);
    all();

    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    check(pthread_attr_setstacksize(&attributes, 16384) == 0, "too small a stack");
    for (int path = 0; path < PATHS; path++) {
        pthread_t thread;
        check(pthread_create(&thread, &attributes, small, (void *)paths[path].use) == 0, "no thread");
        pthread_join(thread, NULL);
    }

    int ours = dlsym(RTLD_DEFAULT, "hakmem_owns") != NULL;
    size_t ending = taken_by_a_thread(use_one) - taken_by_a_thread(nothing);
    size_t most = ending;
    if (count > 2)
        printf("the end of a thread: %zu\n", ending);
    for (int path = 0; path < PATHS; path++) {
        size_t bytes = taken(paths[path].use) - taken(nothing);
        most = bytes > most ? bytes : most;
        if (count > 2)
            printf("%s: %zu\n", paths[path].name, bytes);
    }
    dup2(errors, 2);
    check(!ours || most <= MOST, "a path takes more of the stack than docs/MALLOC.md says");
    return done();
}
