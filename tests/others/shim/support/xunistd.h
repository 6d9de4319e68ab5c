#include "check.h"
#include <sys/wait.h>
#include <unistd.h>
static inline pid_t xfork(void) { pid_t child = fork(); TEST_VERIFY_EXIT(child >= 0); return child; }
static inline void xwaitpid(pid_t child, int *status, int flags) { TEST_VERIFY_EXIT(waitpid(child, status, flags) == child); }
static inline long xsysconf(int name) { return sysconf(name); }
