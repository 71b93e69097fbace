/* Preloaded into a host, moves its wall clock: by as many seconds as the file MILLSTREAM_TEST_CLOCK says at each moment.
 * Monotonic clocks stay as they are. Waits up to a moment of the wall clock last as long as they would have. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static volatile long *offset;

__attribute__((constructor)) static void find_offset(void) {
  const char *path = getenv("MILLSTREAM_TEST_CLOCK");
  int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void *seen = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *offset, PROT_READ, MAP_SHARED, file, 0);
  if (seen != MAP_FAILED) offset = seen;
  if (file >= 0) close(file);
}

static long by(void) { return offset ? *offset : 0; }

int clock_gettime(clockid_t clock, struct timespec *now) {
  int failed = syscall(SYS_clock_gettime, clock, now);
  if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += by();
  return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct timespec precise;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &precise);
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *now) {
  struct timespec precise;
  clock_gettime(CLOCK_REALTIME, &precise);
  if (now) *now = precise.tv_sec;
  return precise.tv_sec;
}

int timespec_get(struct timespec *now, int base) {
  if (base != TIME_UTC) return 0;
  clock_gettime(CLOCK_REALTIME, now);
  return base;
}

static struct timespec real(const struct timespec *until) {
  struct timespec moved = *until;
  moved.tv_sec -= by();
  return moved;
}

int pthread_cond_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
  static int (*next)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
  if (!next) next = dlsym(RTLD_NEXT, "pthread_cond_timedwait");
  struct timespec moved = real(until);
  return next(condition, mutex, &moved);
}

int cnd_timedwait(cnd_t *condition, mtx_t *mutex, const struct timespec *until) {
  static int (*next)(cnd_t *, mtx_t *, const struct timespec *);
  if (!next) next = dlsym(RTLD_NEXT, "cnd_timedwait");
  struct timespec moved = real(until);
  return next(condition, mutex, &moved);
}
