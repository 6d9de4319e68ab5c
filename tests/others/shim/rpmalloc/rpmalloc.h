/* rpmalloc's functions of its own names, of which its stress test uses those below, as those of whoever is malloc. */
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>
#define rpmalloc malloc
#define rpcalloc calloc
#define rprealloc realloc
#define rpaligned_alloc aligned_alloc
#define rpaligned_realloc(block, alignment, size, old, flags) realloc(block, size)
#define rpmemalign memalign
#define rpfree free
#define rpmalloc_usable_size malloc_usable_size
#define rpmalloc_initialize(interface) 0
#define rpmalloc_finalize() (void)0
#define rpmalloc_thread_initialize() (void)0
#define rpmalloc_thread_finalize() (void)0
#define rpmalloc_thread_collect() (void)0
