/* Records what a process does to the files of one folder, in order, beside doing it: loaded by LD_PRELOAD.

   One record: kind (1 byte), length of the path (2), offset (8), length of the data (8), path, data; little endian.
   Kinds: c created, w written, t cut to a length, s synced, u removed, d folder synced.
   POWER_DIR is the folder, POWER_LOG where records go. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define MOST 4096
static char *paths[MOST];
static int out = -1;

static const char *watched(const char *path) {
  const char *folder = getenv("POWER_DIR");
  return folder && path && strncmp(path, folder, strlen(folder)) == 0 ? path : NULL;
}

static const char *named(int fd) { return fd >= 0 && fd < MOST ? paths[fd] : NULL; }

static void record(char kind, const char *path, int64_t offset, const void *data, uint64_t length) {
  if (out < 0) out = syscall(SYS_openat, AT_FDCWD, getenv("POWER_LOG"), O_WRONLY | O_CREAT | O_APPEND, 0600);
  uint16_t name = (uint16_t)strlen(path);
  char head[19];
  head[0] = kind;
  memcpy(head + 1, &name, 2);
  memcpy(head + 3, &offset, 8);
  memcpy(head + 11, &length, 8);
  struct iovec parts[3] = {{head, sizeof head}, {(void *)path, name}, {(void *)data, data ? length : 0}};
  syscall(SYS_writev, out, parts, 3);
}

static int opened(int fd, const char *path, int flags, int existed) {
  if (fd < 0 || fd >= MOST) return fd;
  free(paths[fd]);
  paths[fd] = watched(path) ? strdup(path) : NULL;
  if (paths[fd] && (flags & O_CREAT) && !existed) record('c', path, 0, NULL, 0);
  if (paths[fd] && (flags & O_TRUNC) && existed) record('t', path, 0, NULL, 0);
  return fd;
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
  int existed = syscall(SYS_faccessat, folder, path, F_OK) == 0;
  return opened(syscall(SYS_openat, folder, path, flags, mode), path, flags, existed);
}

#define MODE(last) mode_t mode = 0; if (flags & O_CREAT) { va_list rest; va_start(rest, last); mode = va_arg(rest, mode_t); va_end(rest); }
int open(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags) return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags) return open_at(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags) return open_at(folder, path, flags, mode); }

int close(int fd) {
  if (fd >= 0 && fd < MOST) { free(paths[fd]); paths[fd] = NULL; }
  return syscall(SYS_close, fd);
}

static ssize_t wrote(int fd, const void *data, ssize_t done, off_t offset) {
  if (done > 0 && named(fd)) record('w', named(fd), offset, data, (uint64_t)done);
  return done;
}
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return wrote(fd, data, syscall(SYS_pwrite64, fd, data, length, offset), offset); }
ssize_t pwrite64(int fd, const void *data, size_t length, off_t offset) { return pwrite(fd, data, length, offset); }
ssize_t write(int fd, const void *data, size_t length) {
  off_t offset = named(fd) ? syscall(SYS_lseek, fd, 0, SEEK_CUR) : 0;
  return wrote(fd, data, syscall(SYS_write, fd, data, length), offset);
}

int ftruncate(int fd, off_t length) {
  if (named(fd)) record('t', named(fd), length, NULL, 0);
  return syscall(SYS_ftruncate, fd, length);
}
int ftruncate64(int fd, off_t length) { return ftruncate(fd, length); }

static int synced(int fd) {
  struct stat what;
  if (named(fd) && fstat(fd, &what) == 0) record(S_ISDIR(what.st_mode) ? 'd' : 's', named(fd), 0, NULL, 0);
  return 0; /* The record is the point; the disk of this machine need not be waited for. */
}
int fsync(int fd) { return synced(fd); }
int fdatasync(int fd) { return synced(fd); }

int unlink(const char *path) {
  if (watched(path)) record('u', path, 0, NULL, 0);
  return syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
