/* Forks while threads read long lines, for which they allocate with the stream's lock held, and flush all streams, with the
   list's lock held. */
#include "surroundings.h"

static void *read_lines(void *unused) {
    char name[] = "/tmp/hakmem-streams-XXXXXX";
    int file = mkstemp(name);
    check(file >= 0 && unlink(name) == 0, "no file");
    FILE *stream = fdopen(file, "w+");
    for (int letter = 0; letter < 50000; letter++)
        fputc('x', stream);
    fputc('\n', stream);
    while (!stop) {
        char *line = NULL;
        size_t size = 0;
        rewind(stream);
        check(getline(&line, &size, stream) == 50001, "no line");
        free(line);
    }
    fclose(stream);
    return unused;
}

static void *flush(void *unused) {
    while (!stop) {
        fflush(NULL);
        usleep(10); /* The lock is not fair. */
    }
    return unused;
}

static void *open_and_close(void *unused) {
    while (!stop) {
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);
        fputs("text", stream);
        fclose(stream);
        free(text);
    }
    return unused;
}

int main(void) {
    void *(*runs[4])(void *) = {read_lines, flush, open_and_close, read_lines};
    for (int number = 0; number < 4; number++)
        check(pthread_create(&workers[number], NULL, runs[number], NULL) == 0, "no thread");
    fork_children(200, 5);
    stop_workers();
    return done();
}
