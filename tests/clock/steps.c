/* A time of day that is set. Loaded before libc (LD_PRELOAD) it adds to the time of day as many seconds as stand in the file
 * CLOCK_STEPS, which may change at any moment. The clock that only counts on stays as it is. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef int reading(clockid_t, struct timespec *);

static long steps(void) {
    const char *path = getenv("CLOCK_STEPS");
    char text[32] = "";
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    return length > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t id, struct timespec *now) {
    reading *real = (reading *)dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real(id, now);
    if (!failed && id == CLOCK_REALTIME)
        now->tv_sec += steps();
    return failed;
}
