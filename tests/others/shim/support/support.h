#include "check.h"
#include <string.h>
static inline void *xmalloc(size_t size) { void *p = malloc(size); TEST_VERIFY_EXIT(p != NULL); return p; }
static inline void *xcalloc(size_t n, size_t size) { void *p = calloc(n, size); TEST_VERIFY_EXIT(p != NULL); return p; }
static inline void *xrealloc(void *q, size_t size) { void *p = realloc(q, size); TEST_VERIFY_EXIT(p != NULL); return p; }
static inline char *xstrdup(const char *s) { return strdup(s); }
#include <sys/mman.h>
#include <unistd.h>
#define write_message(text) (void)!write(2, text, strlen(text))
static inline void *support_shared_allocate(size_t size)
{ return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0); }
#define support_shared_free(p) (void)(p)
