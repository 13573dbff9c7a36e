/* Fault injection at the process boundary: an LD_PRELOAD library that counts every call that changes
 * a file system (write, fsync, rename, link, unlink, mkdir, truncate, creation) and every start of git,
 * in the supervisor and in the git commands it starts. At the calls that the driver wants to hear of,
 * the caller tells it (a line into the pipe FAULT_STATE.asks), waits, and does what it is answered: an
 * errno to fail with, or 0 to go on. A kill is the driver's own, while the caller waits.
 *
 * The counter lies in a file that all processes map (FAULT_STATE), so the order is one for all.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct state {
    volatile int armed; /* 0: nothing is counted */
    volatile int count; /* calls so far */
    volatile int first; /* the driver hears of this call and all behind it; 0: of none */
    volatile int syncs; /* 1: and of every fsync */
    volatile int taken; /* one caller asks at a time */
};

static struct state *state;
static char asks[PATH_MAX], answers[PATH_MAX];

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("FAULT_STATE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *place = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    snprintf(asks, sizeof asks, "%s.asks", path);
    snprintf(answers, sizeof answers, "%s.answers", path);
    if (place != MAP_FAILED) state = place;
}

/* One question and its answer. System calls alone: this runs between vfork and exec, too. */
static int ask(int count, char kind, int fills, const char *path) {
    char line[PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%d %c %d %d %s\n", count, kind, fills, getpid(), path);
    int answer = 0;
    while (!__sync_bool_compare_and_swap(&state->taken, 0, 1)) sched_yield();
    int to = (int)syscall(SYS_openat, AT_FDCWD, asks, O_WRONLY | O_CLOEXEC, 0);
    int from = (int)syscall(SYS_openat, AT_FDCWD, answers, O_RDONLY | O_CLOEXEC, 0);
    if (syscall(SYS_write, to, line, size) != size) abort();
    while (syscall(SYS_read, from, &answer, sizeof answer) != sizeof answer)
        if (errno != EINTR) abort();
    close(to);
    close(from);
    state->taken = 0;
    return answer;
}

/* Counts one call; true if it must fail, errno set. fills: whether it needs room on the disk. */
static int point(char kind, int fills, int fd) {
    if (!state || !state->armed) return 0;
    int before = errno, count = __sync_add_and_fetch(&state->count, 1);
    if (!(state->first && count >= state->first) && !(state->syncs && kind == 's')) return 0;
    char path[PATH_MAX] = "", link[64];
    if (fd >= 0) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t size = readlink(link, path, sizeof path - 1);
        path[size < 0 ? 0 : size] = 0;
    }
    int answer = ask(count, kind, fills, path);
    errno = answer ? answer : before;
    return answer != 0;
}

static int regular(int fd) { /* what is printed is no point: its place is the caller's choice */
    struct stat info;
    return fd > 2 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define POINT(kind, fills, fd) do { if (point(kind, fills, fd)) return -1; } while (0)

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write);
    if (regular(fd)) POINT('w', 1, fd);
    return real(fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    REAL(pwrite);
    if (regular(fd)) POINT('w', 1, fd);
    return real(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    REAL(pwrite64);
    if (regular(fd)) POINT('w', 1, fd);
    return real(fd, bytes, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    if (regular(fd)) POINT('w', 1, fd);
    return real(fd, parts, count);
}
int fsync(int fd) { REAL(fsync); POINT('s', 0, fd); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); POINT('s', 0, fd); return real(fd); }
int rename(const char *from, const char *to) { REAL(rename); POINT('r', 0, -1); return real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); POINT('r', 0, -1); return real(a, from, b, to); }
int link(const char *from, const char *to) { REAL(link); POINT('l', 1, -1); return real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); POINT('l', 1, -1); return real(a, from, b, to, flags); }
int symlink(const char *to, const char *path) { REAL(symlink); POINT('l', 1, -1); return real(to, path); }
int unlink(const char *path) { REAL(unlink); POINT('u', 0, -1); return real(path); }
int unlinkat(int at, const char *path, int flags) { REAL(unlinkat); POINT('u', 0, -1); return real(at, path, flags); }
int rmdir(const char *path) { REAL(rmdir); POINT('u', 0, -1); return real(path); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); POINT('m', 1, -1); return real(path, mode); }
int mkdirat(int at, const char *path, mode_t mode) { REAL(mkdirat); POINT('m', 1, -1); return real(at, path, mode); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); POINT('t', 0, fd); return real(fd, size); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); POINT('t', 0, fd); return real(fd, size); }

/* Creation: only where the file is not there yet, so that reopening a lock is no point of its own. */
static int creates(const char *path, int flags) {
    int before = errno, found = (flags & O_CREAT) && access(path, F_OK) != 0;
    errno = before;
    return found;
}
/* Emptying an old file by opening it destroys what was in it: a point of its own. */
static int empties(const char *path, int flags) {
    struct stat info;
    int before = errno;
    int found = (flags & O_TRUNC) && stat(path, &info) == 0 && S_ISREG(info.st_mode) && info.st_size;
    errno = before;
    return found;
}
#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                       \
        REAL(name);                                                    \
        va_list rest; va_start(rest, flags);                           \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                  \
        if (creates(path, flags)) POINT('c', 1, -1);                   \
        else if (empties(path, flags)) POINT('e', 0, -1);              \
        return real(path, flags, mode);                                \
    }
OPEN(open)
OPEN(open64)

int execve(const char *path, char *const argv[], char *const env[]) {
    REAL(execve);
    const char *name = strrchr(path, '/');
    if (access(path, X_OK) == 0 && strcmp(name ? name + 1 : path, "git") == 0) POINT('x', 0, -1);
    return real(path, argv, env);
}
