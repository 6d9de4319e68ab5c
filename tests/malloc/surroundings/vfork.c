/* vfork and exec, and posix_spawn, while other threads allocate. */
#include "surroundings.h"
#include <spawn.h>

extern char **environ;

int main(void) {
    start_workers();
    for (int round = 0; round < 100; round++) {
        char *arguments[] = {strdup("true"), NULL};
        pid_t pid = vfork();
        if (pid == 0) {
            execv("/bin/true", arguments);
            _exit(1);
        }
        wait_for(pid);
        check(posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ) == 0, "no process");
        wait_for(pid);
        free(arguments[0]);
        work(round, 100);
    }
    stop_workers();
    return done();
}
