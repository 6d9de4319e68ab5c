/* What jemalloc's test/test.h and its integration tests of malloc need, of whoever is malloc. */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LG_SIZEOF_PTR 3
#define SIZE_T_MAX SIZE_MAX
#define BUFERROR_BUF 64
#define TEST_MALLOC_SIZE malloc_usable_size
#define JEMALLOC_DIAGNOSTIC_PUSH
#define JEMALLOC_DIAGNOSTIC_POP
#define JEMALLOC_DIAGNOSTIC_IGNORE_ALLOC_SIZE_LARGER_THAN
#define JEMALLOC_FORMAT_PRINTF(format, first)
#define FMTd32 PRId32
#define FMTu32 PRIu32
#define FMTd64 PRId64
#define FMTu64 PRIu64
#define malloc_printf printf
#define malloc_snprintf snprintf
#define malloc_cprintf(write, opaque, ...) printf(__VA_ARGS__)
#define malloc_vcprintf(write, opaque, format, list) vprintf(format, list)
#define nallocx(size, flags) (size)
#define unreachable __builtin_unreachable
#define not_reached abort
#define assert(holds) ((holds) ? (void)0 : abort())
#define buferror(error, buffer, size) snprintf(buffer, size, "%s", strerror(error))
#define set_errno(error) (errno = (error))
#define get_errno() errno

/* Of jemalloc's controls: a purge, and the largest size there is. */
static inline int mallctl(const char *name, void *old, size_t *size, void *new, size_t new_size) {
    if (old != NULL)
        *(unsigned *)old = 1;
    return 0;
}

static inline int mallctlnametomib(const char *name, size_t *mib, size_t *length) { return 0; }

static inline int mallctlbymib(const size_t *mib, size_t length, void *old, size_t *size, void *new, size_t new_size) {
    *(size_t *)old = PTRDIFF_MAX;
    return 0;
}

/* Hooks inside jemalloc, which nobody calls here. */
static void (*test_hooks_libc_hook)(void), (*test_hooks_arena_new_hook)(void);

#include "test/test.h"
