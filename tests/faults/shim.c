/* Fault injection at the process boundary: an LD_PRELOAD library that counts every call that changes
 * a file system (write, fsync, rename, link, unlink, mkdir, truncate, creation) and every start of git,
 * in the supervisor and in the git commands it starts, and at call number `at` kills the supervisor's
 * whole process group, or lets the disk be full from there on.
 *
 * The counter lies in a file that all processes map (FAULT_STATE), so the order is one for all.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

struct state {
    volatile int armed;   /* 0: nothing is counted */
    volatile int count;   /* calls so far */
    volatile int at;      /* the call at which it happens; 0: never */
    volatile int mode;    /* 1: kill, 2: disk full */
    volatile int group;   /* the supervisor's process group */
    char fills[16364];    /* which calls need room on the disk, by their number */
};

static struct state *state;

__attribute__((constructor)) static void load(void) {
    const char *path = getenv("FAULT_STATE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *place = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (place != MAP_FAILED) state = place;
}

/* Counts one call; true if it must fail for want of room. `fills`: whether it needs room. */
static int point(int fills) {
    if (!state || !state->armed) return 0;
    int count = __sync_add_and_fetch(&state->count, 1);
    if (count < (int)sizeof state->fills) state->fills[count] = (char)fills;
    if (!state->at || count < state->at) return 0;
    if (state->mode == 1 && count == state->at) {
        kill(-state->group, SIGKILL);
        kill(getpid(), SIGKILL);
        for (;;) pause();
    }
    if (state->mode == 2 && fills) {
        errno = ENOSPC;
        return 1;
    }
    return 0;
}

static int regular(int fd) { /* what is printed is no point: its place is the caller's choice */
    struct stat info;
    return fd > 2 && fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

ssize_t write(int fd, const void *bytes, size_t size) {
    REAL(write);
    if (regular(fd) && point(1)) return -1;
    return real(fd, bytes, size);
}
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) {
    REAL(pwrite);
    if (regular(fd) && point(1)) return -1;
    return real(fd, bytes, size, at);
}
ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
    REAL(pwrite64);
    if (regular(fd) && point(1)) return -1;
    return real(fd, bytes, size, at);
}
ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    if (regular(fd) && point(1)) return -1;
    return real(fd, parts, count);
}
int fsync(int fd) { REAL(fsync); point(0); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); point(0); return real(fd); }
int rename(const char *from, const char *to) { REAL(rename); point(0); return real(from, to); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); point(0); return real(a, from, b, to); }
int link(const char *from, const char *to) { REAL(link); if (point(1)) return -1; return real(from, to); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); if (point(1)) return -1; return real(a, from, b, to, flags); }
int symlink(const char *to, const char *path) { REAL(symlink); if (point(1)) return -1; return real(to, path); }
int unlink(const char *path) { REAL(unlink); point(0); return real(path); }
int unlinkat(int at, const char *path, int flags) { REAL(unlinkat); point(0); return real(at, path, flags); }
int rmdir(const char *path) { REAL(rmdir); point(0); return real(path); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); if (point(1)) return -1; return real(path, mode); }
int mkdirat(int at, const char *path, mode_t mode) { REAL(mkdirat); if (point(1)) return -1; return real(at, path, mode); }
int ftruncate(int fd, off_t size) { REAL(ftruncate); point(0); return real(fd, size); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); point(0); return real(fd, size); }

/* Creation: only where the file is not there yet, so that reopening a lock is no point of its own. */
static int creates(const char *path, int flags) {
    return (flags & O_CREAT) && access(path, F_OK) != 0;
}
#define OPEN(name)                                                     \
    int name(const char *path, int flags, ...) {                       \
        REAL(name);                                                    \
        va_list rest; va_start(rest, flags);                           \
        mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0; \
        va_end(rest);                                                  \
        if (creates(path, flags) && point(1)) return -1;               \
        return real(path, flags, mode);                                \
    }
OPEN(open)
OPEN(open64)

int execve(const char *path, char *const argv[], char *const env[]) {
    REAL(execve);
    const char *name = strrchr(path, '/');
    if (access(path, X_OK) == 0 && strcmp(name ? name + 1 : path, "git") == 0) point(0);
    return real(path, argv, env);
}
