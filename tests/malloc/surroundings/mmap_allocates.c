/* The program's own mmap and its relatives, which stand before the C library's, allocate: to log what they see. */
#include "surroundings.h"
#include <stdarg.h>

static atomic_long calls;

static void seen(const char *what) {
    char *line = strdup(what);
    char *longer = realloc(line, 5000);
    check(longer != NULL && strcmp(longer, what) == 0, "no memory");
    free(calloc(1, 200000));
    free(longer);
    calls++;
}

void *mmap(void *at, size_t length, int access, int flags, int file, off_t offset) {
    seen("mmap");
    return (void *)syscall(SYS_mmap, at, length, access, flags, file, offset);
}

int munmap(void *at, size_t length) {
    seen("munmap");
    return syscall(SYS_munmap, at, length);
}

int mprotect(void *at, size_t length, int access) {
    seen("mprotect");
    return syscall(SYS_mprotect, at, length, access);
}

int madvise(void *at, size_t length, int advice) {
    seen("madvise");
    return syscall(SYS_madvise, at, length, advice);
}

void *mremap(void *at, size_t old, size_t length, int flags, ...) {
    seen("mremap");
    va_list rest;
    va_start(rest, flags);
    void *to = flags & MREMAP_FIXED ? va_arg(rest, void *) : NULL;
    va_end(rest);
    return (void *)syscall(SYS_mremap, at, old, length, flags, to);
}

int main(void) {
    fork_and_work(10);
    for (int round = 0; round < 20; round++) {
        work(round, 1000);
        usleep(50000);
    }
    char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    check(page != MAP_FAILED && calls > 0, "nobody calls it");
    return done();
}
