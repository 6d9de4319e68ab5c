#include "check.h"
#include <string.h>
static inline void *xmalloc(size_t size) { void *p = malloc(size); TEST_VERIFY_EXIT(p != NULL); return p; }
static inline void *xcalloc(size_t n, size_t size) { void *p = calloc(n, size); TEST_VERIFY_EXIT(p != NULL); return p; }
static inline void *xrealloc(void *q, size_t size) { void *p = realloc(q, size); TEST_VERIFY_EXIT(p != NULL); return p; }
static inline char *xstrdup(const char *s) { return strdup(s); }
