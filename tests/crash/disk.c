/* Preloaded into a real process: writes down what it does to the files of one folder, in order, and refuses on demand.

   DISK_DIR   only files whose path begins so
   DISK_LOG   where the record goes: for each operation a head of four 64-bit numbers (kind, offset, length, length of the
              name), the name, and for a write its bytes. Kinds: 1 write, 2 sync, 3 truncate, 4 unlink.
   DISK_FAIL  "kind first count errno": so many operations of a kind, from this one on (0 is the first), fail
   Shared memory (-shm) is no disk and is left out. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define FILES 4096
static char *names[FILES];
static int log_fd = -1;
static const char *folder;
static long fail_kind, fail_first, fail_count, fail_errno, seen[5];
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void begin(void) {
  const char *place = getenv("DISK_LOG"), *fail = getenv("DISK_FAIL");
  folder = getenv("DISK_DIR");
  real_write = dlsym(RTLD_NEXT, "write");
  int (*real_open)(const char *, int, ...) = dlsym(RTLD_NEXT, "open");
  if (place) log_fd = real_open(place, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fail) sscanf(fail, "%ld %ld %ld %ld", &fail_kind, &fail_first, &fail_count, &fail_errno);
}

/* Set anew what fails, from within the process; kind 0: nothing. */
void disk_fail(long kind, long first, long count, long error) {
  pthread_mutex_lock(&turn);
  fail_kind = kind, fail_first = first, fail_count = count, fail_errno = error;
  memset(seen, 0, sizeof seen);
  pthread_mutex_unlock(&turn);
}

/* The wall clock, moved by so many seconds; the monotonic one goes on. */
static long jumped;
void clock_jump(long seconds) { jumped = seconds; }

int clock_gettime(clockid_t which, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int done = real(which, at);
  if (!done && which == CLOCK_REALTIME) at->tv_sec += jumped;
  return done;
}

static const char *tracked(int fd) { return fd >= 0 && fd < FILES ? names[fd] : NULL; }

static int refused(int kind) {
  long number = seen[kind]++;
  if (kind != fail_kind || number < fail_first || number >= fail_first + fail_count) return 0;
  errno = (int)fail_errno;
  return 1;
}

static void note(int kind, const char *name, uint64_t offset, const void *data, uint64_t length) {
  if (log_fd < 0) return;
  uint64_t head[4] = {kind, offset, length, strlen(name)};
  real_write(log_fd, head, sizeof head);
  real_write(log_fd, name, head[3]);
  if (data) real_write(log_fd, data, length);
}

static int opened(int fd, const char *path) {
  size_t length = strlen(path);
  if (fd < 0 || fd >= FILES || !folder || strncmp(path, folder, strlen(folder))) return fd;
  if (length > 4 && !strcmp(path + length - 4, "-shm")) return fd;
  pthread_mutex_lock(&turn);
  free(names[fd]);
  names[fd] = strdup(path);
  pthread_mutex_unlock(&turn);
  return fd;
}

#define OPENING(NAME)                                                                  \
  int NAME(const char *path, int flags, ...) {                                         \
    static int (*real)(const char *, int, ...);                                        \
    if (!real) real = dlsym(RTLD_NEXT, #NAME);                                         \
    va_list rest;                                                                      \
    va_start(rest, flags);                                                             \
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;            \
    va_end(rest);                                                                      \
    return opened(real(path, flags, mode), path);                                      \
  }
OPENING(open)
OPENING(open64)

int close(int fd) {
  static int (*real)(int);
  if (!real) real = dlsym(RTLD_NEXT, "close");
  pthread_mutex_lock(&turn);
  if (tracked(fd)) {
    free(names[fd]);
    names[fd] = NULL;
  }
  pthread_mutex_unlock(&turn);
  return real(fd);
}

ssize_t write(int fd, const void *data, size_t length) {
  if (!real_write) real_write = dlsym(RTLD_NEXT, "write");
  const char *name = tracked(fd);
  if (!name) return real_write(fd, data, length);
  pthread_mutex_lock(&turn);
  ssize_t done = -1;
  if (!refused(1)) {
    off_t at = lseek(fd, 0, fcntl(fd, F_GETFL) & O_APPEND ? SEEK_END : SEEK_CUR);
    done = real_write(fd, data, length);
    if (done > 0) note(1, name, at, data, done);
  }
  pthread_mutex_unlock(&turn);
  return done;
}

#define PLACED_WRITE(NAME, OFFSET)                                                     \
  ssize_t NAME(int fd, const void *data, size_t length, OFFSET at) {                   \
    static ssize_t (*real)(int, const void *, size_t, OFFSET);                         \
    if (!real) real = dlsym(RTLD_NEXT, #NAME);                                         \
    const char *name = tracked(fd);                                                    \
    if (!name) return real(fd, data, length, at);                                      \
    pthread_mutex_lock(&turn);                                                         \
    ssize_t done = -1;                                                                 \
    if (!refused(1)) {                                                                 \
      done = real(fd, data, length, at);                                               \
      if (done > 0) note(1, name, at, data, done);                                     \
    }                                                                                  \
    pthread_mutex_unlock(&turn);                                                       \
    return done;                                                                       \
  }
PLACED_WRITE(pwrite, off_t)
PLACED_WRITE(pwrite64, off64_t)

#define SYNCING(NAME)                                                                  \
  int NAME(int fd) {                                                                   \
    static int (*real)(int);                                                           \
    if (!real) real = dlsym(RTLD_NEXT, #NAME);                                         \
    const char *name = tracked(fd);                                                    \
    if (!name) return real(fd);                                                        \
    pthread_mutex_lock(&turn);                                                         \
    int done = -1;                                                                     \
    if (!refused(2) && !(done = real(fd))) note(2, name, 0, NULL, 0);                  \
    pthread_mutex_unlock(&turn);                                                       \
    return done;                                                                       \
  }
SYNCING(fsync)
SYNCING(fdatasync)

#define CUTTING(NAME, OFFSET)                                                          \
  int NAME(int fd, OFFSET length) {                                                    \
    static int (*real)(int, OFFSET);                                                   \
    if (!real) real = dlsym(RTLD_NEXT, #NAME);                                         \
    const char *name = tracked(fd);                                                    \
    if (!name) return real(fd, length);                                                \
    pthread_mutex_lock(&turn);                                                         \
    int done = -1;                                                                     \
    if (!refused(3) && !(done = real(fd, length))) note(3, name, length, NULL, 0);     \
    pthread_mutex_unlock(&turn);                                                       \
    return done;                                                                       \
  }
CUTTING(ftruncate, off_t)
CUTTING(ftruncate64, off64_t)

int unlink(const char *path) {
  static int (*real)(const char *);
  if (!real) real = dlsym(RTLD_NEXT, "unlink");
  int done = real(path);
  if (!done && folder && !strncmp(path, folder, strlen(folder))) note(4, path, 0, NULL, 0);
  return done;
}
