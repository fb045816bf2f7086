/* Faults at chosen calls to the file system: loaded before the C library (LD_PRELOAD) and asked by name.
 *
 * Every call that touches a path under the root, or a descriptor opened there, is counted. At call number `at`
 * the chosen fault happens. Armed from the environment (FAULT_ROOT, FAULT_AT, FAULT_WHAT, FAULT_ERRNO,
 * FAULT_FROM) or by fault_arm() in a process that was forked from one that has this library.
 *
 * Only from the environment, when the process starts or fault_arm_from_environment() is called:
 * FAULT_PATH    only paths that contain this after the root are touched
 * FAULT_CALL    only this call is counted: open, close, sync, write, rename, ...
 * FAULT_LOSE    a call that fails also loses what was written and not synced, as on a network file system
 * FAULT_FLOCK   every file lock fails with this error
 * FAULT_UNSEEN  seconds since 1970: names that changed from then until this process started do not exist for
 *               it, as where another machine wrote them and the folder is cached
 * FAULT_CLOCK   seconds by which the clock on the wall jumps after 50 readings; with FAULT_CLOCK_SWINGS it
 *               jumps back and forth at every reading
 * FAULT_COUNT   file that the number of calls is written to when the process ends
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
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
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
static long long synced[MOST];          /* bytes of each open file that are on disk for certain */
static const char *part, *only, *tally; /* FAULT_PATH, FAULT_CALL, FAULT_COUNT */
static int losing = 0, unlockable = 0, swings = 0;
static double unseen = -1, started = 0, jump = 0;

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

__attribute__((visibility("default"))) void fault_arm(const char *folder, long number, int kind, int error, int from, int writes) {
  strncpy(root, folder, sizeof root - 1);
  at = number; what = kind; wanted = error; onward = from; only_writes = writes; count = 0;
}

__attribute__((visibility("default"))) long fault_count(void) { return count; }

static double seconds(struct timespec at) { return (double)at.tv_sec + 1e-9 * (double)at.tv_nsec; }
static double number_of(const char *name, double otherwise) {
  const char *value = getenv(name);
  return value ? atof(value) : otherwise;
}
static void now(clockid_t which, struct timespec *found) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  real(which, found);
}

__attribute__((constructor, visibility("default"))) void fault_arm_from_environment(void) {
  const char *folder = getenv("FAULT_ROOT");
  struct timespec at;
  now(CLOCK_REALTIME, &at);
  started = seconds(at);
  part = getenv("FAULT_PATH"), only = getenv("FAULT_CALL"), tally = getenv("FAULT_COUNT");
  losing = getenv("FAULT_LOSE") != NULL, unlockable = (int)number_of("FAULT_FLOCK", 0);
  unseen = number_of("FAULT_UNSEEN", -1);
  jump = number_of("FAULT_CLOCK", 0), swings = getenv("FAULT_CLOCK_SWINGS") != NULL;
  if (!folder) return;
  const char *number = getenv("FAULT_AT"), *kind = getenv("FAULT_WHAT"), *error = getenv("FAULT_ERRNO");
  memset(root, 0, sizeof root);
  fault_arm(folder, number ? atol(number) : -1, kind ? atoi(kind) : NOTHING, error ? atoi(error) : EIO,
            getenv("FAULT_FROM") != NULL, getenv("FAULT_WRITES") ? atoi(getenv("FAULT_WRITES")) : 0);
}

__attribute__((destructor)) static void report_count(void) {
  FILE *file = tally ? fopen(tally, "w") : NULL;
  if (file) fprintf(file, "%ld", count), fclose(file);
}

/* The jump of the clock on the wall at this reading, in seconds. */
static time_t jumped(void) {
  static long readings = 0;
  readings++;
  return (time_t)(swings ? (readings % 2 ? jump : -jump) : readings > 50 ? jump : 0);
}
int clock_gettime(clockid_t which, struct timespec *found) {
  REAL(clock_gettime);
  int result = real(which, found);
  if (jump && (which == CLOCK_REALTIME || which == CLOCK_REALTIME_COARSE)) found->tv_sec += jumped();
  return result;
}
time_t time(time_t *found) {
  struct timespec at;
  clock_gettime(CLOCK_REALTIME, &at);
  return found ? *found = at.tv_sec : at.tv_sec;
}
int gettimeofday(struct timeval *restrict found, void *restrict zone) {
  (void)zone;
  struct timespec at;
  int result = clock_gettime(CLOCK_REALTIME, &at);
  found->tv_sec = at.tv_sec, found->tv_usec = at.tv_nsec / 1000;
  return result;
}

static int under(const char *path) {
  return root[0] && path && strncmp(path, root, strlen(root)) == 0 && (!part || strstr(path + strlen(root), part));
}
/* The same for a name within an open folder. */
static int under_at(int folder, const char *path) {
  char whole[8192], link[64];
  if (!root[0] || !path || path[0] == '/' || folder == AT_FDCWD) return under(path);
  snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
  ssize_t length = readlink(link, whole, sizeof whole / 2);
  if (length < 0) return 0;
  snprintf(whole + length, sizeof whole - (size_t)length, "/%s", path);
  return under(whole);
}
static int mine(int descriptor) { return descriptor >= 0 && descriptor < MOST && ours[descriptor]; }

/* Whether a path does not exist yet for this process. */
static int is_unseen(int folder, const char *path) {
  static int (*real)(int, const char *, struct stat *, int);
  struct stat found;
  if (unseen < 0 || !under_at(folder, path)) return 0;
  if (!real) real = (int (*)(int, const char *, struct stat *, int))dlsym(RTLD_NEXT, "fstatat");
  if (real(folder, path, &found, AT_SYMLINK_NOFOLLOW) != 0) return 0;
  return seconds(found.st_ctim) >= unseen && seconds(found.st_ctim) < started;
}

static void opened(int descriptor, int concerned) {
  if (descriptor < 0 || descriptor >= MOST) return;
  ours[descriptor] = (char)concerned;
  synced[descriptor] = losing && concerned ? lseek(descriptor, 0, SEEK_END) : 0;
  if (losing && concerned) lseek(descriptor, 0, SEEK_SET);
}
static void lose(int descriptor) {
  struct stat found;
  if (losing && fstat(descriptor, &found) == 0 && found.st_size > synced[descriptor]) {
    if (ftruncate(descriptor, synced[descriptor])) return;
  }
}
static void keep(int descriptor) {
  struct stat found;
  if (losing && mine(descriptor) && fstat(descriptor, &found) == 0) synced[descriptor] = found.st_size;
}

/* Count a call; return what is to happen to it. `writes`: 0 reads, 1 changes something, 2 writes bytes. */
static int turn(int concerned, int writes, const char *call) {
  if (!concerned || writes < only_writes || (only && strcmp(only, call) != 0)) return NOTHING;
  count++;
  if (at < 0 || !(count == at || (onward && count > at))) return NOTHING;
  if (what == KILL_BEFORE) die();
  return what;
}

#define PLAIN(concerned, writes, name, bad, call)      \
  int fault = turn(concerned, writes, name);           \
  if (fault == FAIL) { errno = wanted; return bad; }   \
  __typeof__(call) result = call;                      \
  if (fault == KILL_AFTER || fault == TORN) die();     \
  return result

#define OPENING(name)                                                            \
  int name(const char *path, int flags, ...) {                                   \
    REAL(name);                                                                  \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    int concerned = under(path), fault = turn(concerned, (flags & O_ACCMODE) != O_RDONLY, "open"); \
    if (fault == FAIL) { errno = wanted; return -1; }                            \
    if (!(flags & O_CREAT) && is_unseen(AT_FDCWD, path)) { errno = ENOENT; return -1; }    \
    int found = real(path, flags, mode);                                         \
    opened(found, concerned);                                                    \
    if (fault == KILL_AFTER || fault == TORN) die();                             \
    return found;                                                                \
  }
OPENING(open)
OPENING(open64)

#define OPENING_AT(name)                                                         \
  int name(int folder, const char *path, int flags, ...) {                       \
    REAL(name);                                                                  \
    va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, mode_t); va_end(rest); \
    int concerned = under_at(folder, path), fault = turn(concerned, (flags & O_ACCMODE) != O_RDONLY, "open"); \
    if (fault == FAIL) { errno = wanted; return -1; }                            \
    if (!(flags & O_CREAT) && is_unseen(folder, path)) { errno = ENOENT; return -1; }    \
    int found = real(folder, path, flags, mode);                                 \
    opened(found, concerned);                                                    \
    if (fault == KILL_AFTER || fault == TORN) die();                             \
    return found;                                                                \
  }
OPENING_AT(openat)
OPENING_AT(openat64)

int close(int descriptor) {
  REAL(close);
  int concerned = mine(descriptor), fault = turn(concerned, 0, "close");
  if (fault == FAIL) lose(descriptor);
  if (concerned) ours[descriptor] = 0;
  int result = real(descriptor); /* a close that fails has closed all the same */
  if (fault == FAIL) { errno = wanted; return -1; }
  if (fault == KILL_AFTER || fault == TORN) die();
  return result;
}

ssize_t write(int descriptor, const void *data, size_t length) {
  REAL(write);
  int fault = turn(mine(descriptor), 2, "write");
  if (fault == FAIL) { errno = wanted; return -1; }
  if ((fault == SHORT || fault == TORN) && length > 1) length /= 2;
  ssize_t result = real(descriptor, data, length);
  if (fault == KILL_AFTER || fault == TORN) die();
  return result;
}

ssize_t writev(int descriptor, const struct iovec *parts, int number) {
  REAL(writev);
  PLAIN(mine(descriptor), 2, "write", -1, real(descriptor, parts, number));
}

#define PWRITING(name, kind)                                                     \
  ssize_t name(int descriptor, const void *data, size_t length, kind place) {    \
    REAL(name);                                                                  \
    int fault = turn(mine(descriptor), 2, "write");                                       \
    if (fault == FAIL) { errno = wanted; return -1; }                            \
    if ((fault == SHORT || fault == TORN) && length > 1) length /= 2;            \
    ssize_t result = real(descriptor, data, length, place);                      \
    if (fault == KILL_AFTER || fault == TORN) die();                             \
    return result;                                                               \
  }
PWRITING(pwrite, off_t)
PWRITING(pwrite64, off64_t)

#define SYNCING(name)                                                            \
  int name(int descriptor) {                                                     \
    REAL(name);                                                                  \
    int fault = turn(mine(descriptor), 1, "sync");                               \
    if (fault == FAIL) { lose(descriptor); errno = wanted; return -1; }          \
    int result = real(descriptor);                                               \
    if (result == 0) keep(descriptor);                                           \
    if (fault == KILL_AFTER || fault == TORN) die();                             \
    return result;                                                               \
  }
SYNCING(fsync)
SYNCING(fdatasync)

int ftruncate(int descriptor, off_t length) { REAL(ftruncate); PLAIN(mine(descriptor), 1, "truncate", -1, real(descriptor, length)); }
int ftruncate64(int descriptor, off64_t length) { REAL(ftruncate64); PLAIN(mine(descriptor), 1, "truncate", -1, real(descriptor, length)); }
int rename(const char *from, const char *to) { REAL(rename); PLAIN(under(from) || under(to), 1, "rename", -1, real(from, to)); }
int renameat(int a, const char *from, int b, const char *to) { REAL(renameat); PLAIN(under_at(a, from) || under_at(b, to), 1, "rename", -1, real(a, from, b, to)); }
int unlink(const char *path) { REAL(unlink); PLAIN(under(path), 1, "unlink", -1, real(path)); }
int unlinkat(int folder, const char *path, int flags) { REAL(unlinkat); PLAIN(under_at(folder, path), 1, "unlink", -1, real(folder, path, flags)); }
int mkdir(const char *path, mode_t mode) { REAL(mkdir); PLAIN(under(path), 1, "mkdir", -1, real(path, mode)); }
int mkdirat(int folder, const char *path, mode_t mode) { REAL(mkdirat); PLAIN(under_at(folder, path), 1, "mkdir", -1, real(folder, path, mode)); }
int rmdir(const char *path) { REAL(rmdir); PLAIN(under(path), 1, "rmdir", -1, real(path)); }
DIR *fdopendir(int folder) { REAL(fdopendir); PLAIN(mine(folder), 0, "opendir", NULL, real(folder)); }
int linkat(int a, const char *from, int b, const char *to, int flags) { REAL(linkat); PLAIN(under_at(a, from) || under_at(b, to), 1, "rename", -1, real(a, from, b, to, flags)); }
DIR *opendir(const char *path) {
  REAL(opendir);
  if (is_unseen(AT_FDCWD, path)) { errno = ENOENT; return NULL; }
  PLAIN(under(path), 0, "opendir", NULL, real(path));
}

int flock(int descriptor, int operation) {
  REAL(flock);
  if (unlockable && mine(descriptor)) { errno = unlockable; return -1; }
  return real(descriptor, operation);
}

/* Where a name is not seen yet, asking about it says so as well. */
#define ASKING(name, kind)                                                       \
  int name(const char *restrict path, kind *restrict found) {                    \
    REAL(name);                                                                  \
    if (is_unseen(AT_FDCWD, path)) { errno = ENOENT; return -1; }                          \
    return real(path, found);                                                    \
  }
ASKING(stat, struct stat)
ASKING(stat64, struct stat64)
ASKING(lstat, struct stat)
ASKING(lstat64, struct stat64)
#define ASKING_AT(name, kind)                                                    \
  int name(int folder, const char *restrict path, kind *restrict found, int flags) { \
    REAL(name);                                                                  \
    if (is_unseen(folder, path)) { errno = ENOENT; return -1; }                  \
    return real(folder, path, found, flags);                                     \
  }
ASKING_AT(fstatat, struct stat)
ASKING_AT(fstatat64, struct stat64)
int access(const char *path, int mode) {
  REAL(access);
  if (is_unseen(AT_FDCWD, path)) { errno = ENOENT; return -1; }
  return real(path, mode);
}
