#include "check.h"
static inline int create_temp_file(const char *base, char **name)
{ char path[] = "shim-XXXXXX"; int file = mkstemp(path); if (name) *name = strdup(path); return file; }
