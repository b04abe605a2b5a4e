/* The service of the benchmark: says that it is ready where it is asked to, then when it began and who it is, and waits.
 *
 *   tick FILE FD   one line "<nanoseconds of the monotonic clock> <pid>" to the end of FILE, a newline to FD unless it is -1
 *
 * Static and small, so that what is measured is the supervisor. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (argc != 3)
        return 2;
    char line[64];
    int length = snprintf(line, sizeof line, "%lld %d\n", now.tv_sec * 1000000000LL + now.tv_nsec, (int)getpid());
    int file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0 || write(file, line, (size_t)length) != length)
        return 1;
    close(file);
    int ready = atoi(argv[2]);
    if (ready >= 0) {
        if (write(ready, "\n", 1) != 1)
            return 1;
        close(ready);
    }
    for (;;)
        pause();
}
