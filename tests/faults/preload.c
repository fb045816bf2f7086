/* Faults at chosen calls to the file system: loaded before the C library (LD_PRELOAD) and asked by name.
 *
 * Every call that touches a path under the root, or a descriptor opened there, is counted. At call number `at`
 * the chosen fault happens. Armed from the environment (FAULT_ROOT, FAULT_AT, FAULT_WHAT, FAULT_ERRNO,
 * FAULT_FROM) or by fault_arm() in a process that was forked from one that has this library.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { NOTHING, KILL_BEFORE, KILL_AFTER, FAIL, SHORT, TORN };
enum { MOST = 4096 };

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)

static char root[4096];
static long at = -1, count = 0;
static int what = NOTHING, wanted = EIO, onward = 0, only_writes = 0;
static char ours[MOST];

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

__attribute__((visibility("default"))) void fault_arm(const char *folder, long number, int kind, int error, int from, int writes) {
  strncpy(root, folder, sizeof root - 1);
  at = number; what = kind; wanted = error; onward = from; only_writes = writes; count = 0;
}

__attribute__((visibility("default"))) long fault_count(void) { return count; }

__attribute__((constructor)) static void from_environment(void) {
  const char *folder = getenv("FAULT_ROOT");
  if (!folder) return;
  const char *number = getenv("FAULT_AT"), *kind = getenv("FAULT_WHAT"), *error = getenv("FAULT_ERRNO");
  fault_arm(folder, number ? atol(number) : -1, kind ? atoi(kind) : NOTHING, error ? atoi(error) : EIO,
            getenv("FAULT_FROM") != NULL, getenv("FAULT_WRITES") ? atoi(getenv("FAULT_WRITES")) : 0);
}

/* The clock on the wall: after some readings it is a day earlier, and stays so. */
int clock_gettime(clockid_t which, struct timespec *found) {
  REAL(clock_gettime);
  static long readings = 0;
  static int jumps = -1;
  if (jumps < 0) jumps = getenv("FAULT_CLOCK") != NULL;
  int result = real(which, found);
  if (jumps && which == CLOCK_REALTIME && ++readings > 50) found->tv_sec -= 86400;
  return result;
}

static int under(const char *path) { return root[0] && path && strncmp(path, root, strlen(root)) == 0; }
static int mine(int descriptor) { return descriptor >= 0 && descriptor < MOST && ours[descriptor]; }

/* Count a call; return what is to happen to it. `writes`: 0 reads, 1 changes something, 2 writes bytes. */
static int turn(int concerned, int writes) {
  if (!concerned || writes < only_writes) return NOTHING;
  count++;
  if (at < 0 || !(count == at || (onward && count > at))) return NOTHING;
  if (what == KILL_BEFORE) die();
  return what;
}

#define PLAIN(concerned, writes, bad, call)            \
  int fault = turn(concerned, writes);                 \
  if (fault == FAIL) { errno = wanted; return bad; }   \
  __typeof__(call) result = call;                      \
  if (fault == KILL_AFTER || fault == TORN) die();     \
  return result

#define OPENING(name)                                                            \
  int name(const char *path, int flags, ...) {                                   \
    REAL(name);                                                                  \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    int concerned = under(path), fault = turn(concerned, (flags & O_ACCMODE) != O_RDONLY); \
    if (fault == FAIL) { errno = wanted; return -1; }                            \
    int found = real(path, flags, mode);                                         \
    if (found >= 0 && found < MOST) ours[found] = (char)concerned;               \
    if (fault == KILL_AFTER || fault == TORN) die();                             \
    return found;                                                                \
  }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                         \
  int name(int folder, const char *path, int flags, ...) {                       \
    REAL(name);                                                                  \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    int concerned = under(path), fault = turn(concerned, (flags & O_ACCMODE) != O_RDONLY); \
    if (fault == FAIL) { errno = wanted; return -1; }                            \
    int found = real(folder, path, flags, mode);                                 \
    if (found >= 0 && found < MOST) ours[found] = (char)concerned;               \
    if (fault == KILL_AFTER || fault == TORN) die();                             \
    return found;                                                                \
  }
OPENING_AT(openat)
OPENING_AT(openat64)

int close(int descriptor) {
  REAL(close);
  int concerned = mine(descriptor), fault = turn(concerned, 0);
  if (concerned) ours[descriptor] = 0;
  int result = real(descriptor); /* a close that fails has closed all the same */
  if (fault == FAIL) { errno = wanted; return -1; }
  if (fault == KILL_AFTER || fault == TORN) die();
  return result;
}

ssize_t write(int descriptor, const void *data, size_t length) {
  REAL(write);
  int fault = turn(mine(descriptor), 2);
  if (fault == FAIL) { errno = wanted; return -1; }
  if ((fault == SHORT || fault == TORN) && length > 1) length /= 2;
  ssize_t result = real(descriptor, data, length);
  if (fault == KILL_AFTER || fault == TORN) die();
  return result;
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
  REAL(writev);
  PLAIN(mine(descriptor), 2, -1, real(descriptor, parts, number));
}

#define PWRITING(name, kind)                                                     \
  ssize_t name(int descriptor, const void *data, size_t length, kind place) {    \
    REAL(name);                                                                  \
    int fault = turn(mine(descriptor), 2);                                       \
    if (fault == FAIL) { errno = wanted; return -1; }                            \
    if ((fault == SHORT || fault == TORN) && length > 1) length /= 2;            \
    ssize_t result = real(descriptor, data, length, place);                      \
    if (fault == KILL_AFTER || fault == TORN) die();                             \
    return result;                                                               \
  }
PWRITING(pwrite, off_t)
PWRITING(pwrite64, off64_t)

int fsync(int descriptor) { REAL(fsync); PLAIN(mine(descriptor), 1, -1, real(descriptor)); }
int fdatasync(int descriptor) { REAL(fdatasync); PLAIN(mine(descriptor), 1, -1, real(descriptor)); }
int ftruncate(int descriptor, off_t length) { REAL(ftruncate); PLAIN(mine(descriptor), 1, -1, real(descriptor, length)); }
int ftruncate64(int descriptor, off64_t length) { REAL(ftruncate64); PLAIN(mine(descriptor), 1, -1, real(descriptor, length)); }
int rename(const char *from, const char *to) { REAL(rename); PLAIN(under(from) || under(to), 1, -1, real(from, to)); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); PLAIN(under(from) || under(to), 1, -1, real(a, from, b, to)); }
int unlink(const char *path) { REAL(unlink); PLAIN(under(path), 1, -1, real(path)); }
int unlinkat(int folder, const char *path, int flags) { REAL(unlinkat); PLAIN(under(path), 1, -1, real(folder, path, flags)); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); PLAIN(under(path), 1, -1, real(path, mode)); }
int rmdir(const char *path) { REAL(rmdir); PLAIN(under(path), 1, -1, real(path)); }
DIR *opendir(const char *path) { REAL(opendir); PLAIN(under(path), 0, NULL, real(path)); }
