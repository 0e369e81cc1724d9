/* Records what a process does to the files below $POWER_HOME: loaded before libc, whose calls it passes on.

   A record is: op, number of the file, offset, length, then so many bytes. Each call and its record are one step under
   a lock, so that the order of the records is the order in which the kernel was asked. Written for tests/power. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FILES 65536
enum { OPEN = 1, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, MARK };

struct record {
    uint32_t op, length;
    uint64_t file;
    int64_t offset;
} __attribute__((packed));

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out = -1;
static const char *home = "";
static size_t home_length;
static char is_ours[FILES];

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("POWER_LOG");
    if (getenv("POWER_HOME"))
        home = getenv("POWER_HOME");
    home_length = strlen(home);
    if (path && home_length)
        out = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void put(uint32_t op, uint64_t file, int64_t offset, const void *data, size_t length) {
    struct record head = {op, (uint32_t)length, file, offset};
    if (syscall(SYS_write, out, &head, sizeof head) != sizeof head ||
        (length && syscall(SYS_write, out, data, length) != (long)length))
        abort();
}

static int below_home(const char *path) {
    return out >= 0 && path && !strncmp(path, home, home_length) && (path[home_length] == '/' || !path[home_length]);
}

static int ours(int fd) { return fd >= 0 && fd < FILES && is_ours[fd]; }

static uint64_t number(int fd) {
    struct stat status;
    return fstat(fd, &status) ? 0 : status.st_ino;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define STEP(result, call, told)                                                                                       \
    do {                                                                                                               \
        pthread_mutex_lock(&lock);                                                                                     \
        result = call;                                                                                                 \
        int kept = errno;                                                                                              \
        told;                                                                                                          \
        errno = kept;                                                                                                  \
        pthread_mutex_unlock(&lock);                                                                                   \
    } while (0)

static int opened(const char *path, int flags, mode_t mode) {
    int fd;
    if (!below_home(path))
        return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    STEP(fd, syscall(SYS_openat, AT_FDCWD, path, flags, mode), if (fd >= 0 && fd < FILES) {
        is_ours[fd] = 1;
        put(OPEN, number(fd), flags & O_TRUNC ? 1 : 0, path, strlen(path));
    });
    return fd;
}

#define MODE                                                                                                           \
    mode_t mode = 0;                                                                                                   \
    if (flags & O_CREAT) {                                                                                             \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *path, int flags, ...) { MODE return opened(path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE return opened(path, flags | O_LARGEFILE, mode); }

int close(int fd) {
    if (fd >= 0 && fd < FILES)
        is_ours[fd] = 0;
    return REAL(close)(fd);
}

ssize_t write(int fd, const void *data, size_t length) {
    ssize_t done;
    if (!ours(fd))
        return REAL(write)(fd, data, length);
    STEP(done, REAL(write)(fd, data, length),
         if (done > 0) put(WRITE, number(fd), lseek(fd, 0, SEEK_CUR) - done, data, done));
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) {
    ssize_t done;
    if (!ours(fd))
        return REAL(pwrite64)(fd, data, length, offset);
    STEP(done, REAL(pwrite64)(fd, data, length, offset), if (done > 0) put(WRITE, number(fd), offset, data, done));
    return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return pwrite64(fd, data, length, offset); }

int ftruncate64(int fd, off64_t size) {
    int done;
    if (!ours(fd))
        return REAL(ftruncate64)(fd, size);
    STEP(done, REAL(ftruncate64)(fd, size), if (!done) put(TRUNCATE, number(fd), size, 0, 0));
    return done;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fsync(int fd) {
    int done;
    if (!ours(fd))
        return REAL(fsync)(fd);
    /* A disk takes its time; what is recorded is that it was asked and has answered. */
    STEP(done, 0, put(SYNC, number(fd), 0, 0, 0));
    return done;
}
int fdatasync(int fd) { return fsync(fd); }

int rename(const char *from, const char *to) {
    int done;
    char both[8192];
    if (!below_home(from) && !below_home(to))
        return REAL(rename)(from, to);
    size_t length = strlen(from) + 1 + strlen(to);
    if (length >= sizeof both)
        abort();
    memcpy(both, from, strlen(from) + 1);
    memcpy(both + strlen(from) + 1, to, strlen(to));
    STEP(done, REAL(rename)(from, to), if (!done) put(RENAME, 0, 0, both, length));
    return done;
}

int unlink(const char *path) {
    int done;
    if (!below_home(path))
        return REAL(unlink)(path);
    STEP(done, REAL(unlink)(path), if (!done) put(UNLINK, 0, 0, path, strlen(path)));
    return done;
}

int mkdir(const char *path, mode_t mode) {
    int done;
    if (!below_home(path))
        return REAL(mkdir)(path, mode);
    STEP(done, REAL(mkdir)(path, mode), if (!done) put(MKDIR, 0, 0, path, strlen(path)));
    return done;
}

/* What the process promised by now: kind and value. */
void power_mark(int kind, int64_t value) {
    if (out < 0)
        return;
    pthread_mutex_lock(&lock);
    put(MARK, kind, value, 0, 0);
    pthread_mutex_unlock(&lock);
}
