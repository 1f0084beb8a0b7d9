/* A disk that forgets. Loaded before libc (LD_PRELOAD) it stands between one process and the files of one folder.
 *
 * LOSSY_LIVE is the folder that the process works on. LOSSY_DISK is a folder of the test's, with
 *
 *   platter/   what a disk would hold if the power went now: each file as f<n>, each folder as d<n>, whose entries are
 *              hard links to files and symbolic links to folders. d0 is the folder at the top;
 *   control    what to do, one line each, read again before each operation:
 *                cut <n> <part>                end at the n-th operation on such paths, before it is performed
 *                torn <seed>                   a random part of what was not synced has reached the platter too
 *                <operation> <part> <what>     for paths that contain <part>, that end so with `$` behind it, or all with `*`
 *                                              operations: write, sync, syncdir, open, read
 *                                              what: ENOSPC, EIO, EACCES; swallow (of a sync: says it was done);
 *                                              short (of a write or read: half of it); room:<bytes> (ENOSPC once so
 *                                              many were written)
 *   cut        written when it has ended: the number of the operation and what it was.
 *
 * A write changes the live file alone. fsync and fdatasync bring the changed pages of a file and its length to the
 * platter, and nothing of its name: names are there once their folder was synced. That is what POSIX promises and less
 * than ext4, XFS and btrfs do, which write a new file's name with the file. After a sync that failed, what it should have
 * written counts as written and is not: a kernel marks the pages clean. Writes through mmap are not seen; SQLite's shared
 * memory is the only one, and it is made anew after a power cut. */

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PAGE 4096
#define SECTOR 512
#define PATH 4096

struct object {
    ino_t ino;
    unsigned number;
    unsigned char *dirty; /* a byte for each page */
    size_t pages;
    struct object *next;
};

static char live[PATH], disk[PATH];
static struct object *objects[1024];
static unsigned numbers;
static unsigned long operations, counted;
static unsigned long long written, random_state;
static char last_room[64];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* The file and the page that were written to last: the write that a cut tears. */
static ino_t last_ino;
static size_t last_page;

/* ---- the system, not through ourselves ---- */

static int sys_open(const char *path, int flags, mode_t mode) {
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_CLOEXEC, mode);
}

static void broken(const char *what, const char *path) {
    dprintf(2, "lossy disk: %s: %s: %s\n", what, path, strerror(errno));
    syscall(SYS_kill, getpid(), SIGABRT);
}

static unsigned long long chance(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 2685821657736338717ULL >> 16;
}

/* ---- what to do ---- */

struct orders {
    unsigned long cut;
    int torn;
    char part[256];
    char text[2048];
};

static void read_orders(struct orders *orders) {
    char path[PATH + 16];
    snprintf(path, sizeof path, "%s/control", disk);
    memset(orders, 0, sizeof *orders);
    int fd = sys_open(path, O_RDONLY, 0);
    if (fd < 0) return;
    syscall(SYS_read, fd, orders->text, sizeof orders->text - 1);
    syscall(SYS_close, fd);
    char *at = strstr(orders->text, "cut ");
    if (at && sscanf(at, "cut %lu %255s", &orders->cut, orders->part) != 2) broken("order", at);
    at = strstr(orders->text, "torn ");
    if (at) {
        orders->torn = 1;
        if (!random_state) random_state = strtoull(at + 5, NULL, 10) * 2654435769ULL + 88172645463325252ULL;
    }
}

static int is_meant(const char *part, const char *path) {
    size_t length = strlen(part), all = strlen(path);
    if (!strcmp(part, "*")) return 1;
    if (length && part[length - 1] == '$')
        return all >= length - 1 && !strncmp(path + all - (length - 1), part, length - 1);
    return strstr(path + strlen(live), part) != NULL;
}

/* The word that is ordered for this operation on this path, or nothing. */
static const char *ordered(struct orders *orders, const char *operation, const char *path) {
    static char what[64];
    char text[sizeof orders->text], *rest = NULL;
    strcpy(text, orders->text);
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        char name[32], part[256];
        if (sscanf(line, "%31s %255s %63s", name, part, what) != 3 || strcmp(name, operation)) continue;
        if (is_meant(part, path)) return what;
    }
    return NULL;
}

static int number_of(const char *what) {
    if (!strcmp(what, "ENOSPC")) return ENOSPC;
    if (!strcmp(what, "EIO")) return EIO;
    if (!strcmp(what, "EACCES")) return EACCES;
    return 0;
}

/* ---- the platter ---- */

static struct object *find(ino_t ino) {
    for (struct object *it = objects[ino % 1024]; it; it = it->next)
        if (it->ino == ino) return it;
    return NULL;
}

static void object_path(char *path, const struct object *object, int is_folder) {
    snprintf(path, PATH + 32, "%s/platter/%c%u", disk, is_folder ? 'd' : 'f', object->number);
}

/* A new file or folder, empty on the platter and without a name. An inode's number may have been another's. */
static struct object *make(ino_t ino, int is_folder) {
    struct object *object = find(ino);
    if (!object) {
        object = calloc(1, sizeof *object);
        object->next = objects[ino % 1024];
        objects[ino % 1024] = object;
    }
    free(object->dirty);
    object->dirty = NULL, object->pages = 0, object->ino = ino, object->number = numbers++;
    char path[PATH + 32];
    object_path(path, object, is_folder);
    if (is_folder) {
        if (syscall(SYS_mkdirat, AT_FDCWD, path, 0755) < 0) broken("mkdir", path);
    } else {
        int fd = sys_open(path, O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (fd < 0) broken("create", path);
        syscall(SYS_close, fd);
    }
    return object;
}

static void touch(struct object *object, off_t from, off_t to) {
    size_t first = (size_t)(from / PAGE), end = (size_t)((to + PAGE - 1) / PAGE);
    if (end > object->pages) {
        size_t pages = end * 2;
        object->dirty = realloc(object->dirty, pages);
        memset(object->dirty + object->pages, 0, pages - object->pages);
        object->pages = pages;
    }
    for (; first < end; first++) object->dirty[first] = 1;
}

static struct object *known(const char *path, const struct stat *stat) {
    struct object *object = find(stat->st_ino);
    if (object) return object;
    object = make(stat->st_ino, S_ISDIR(stat->st_mode));
    if (!S_ISDIR(stat->st_mode)) touch(object, 0, stat->st_size);
    (void)path;
    return object;
}

static void bring_page(int from, int to, size_t page, off_t length, size_t most) {
    char buffer[PAGE];
    off_t at = (off_t)page * PAGE;
    if (at >= length) return;
    size_t size = (size_t)(length - at < (off_t)most ? length - at : (off_t)most);
    ssize_t got = syscall(SYS_pread64, from, buffer, size, at);
    if (got > 0 && syscall(SYS_pwrite64, to, buffer, got, at) != got) broken("write", "platter");
}

enum how { ALL, SOME, ONE };

/* Brings the changed pages of a file to the platter: all and its length, some of them, or one. */
static void bring(const char *path, struct object *object, enum how how, size_t one) {
    char target[PATH + 32];
    object_path(target, object, 0);
    int from = sys_open(path, O_RDONLY, 0), to = sys_open(target, O_WRONLY, 0);
    struct stat stat;
    if (from < 0 || to < 0 || fstat(from, &stat) < 0) broken("open", from < 0 ? path : target);
    if (how == ONE) bring_page(from, to, one, stat.st_size, PAGE);
    for (size_t page = 0; how != ONE && page < object->pages; page++) {
        if (!object->dirty[page]) continue;
        if (how == SOME && object->ino == last_ino && page == last_page)
            bring_page(from, to, page, stat.st_size, chance() % (PAGE / SECTOR) * SECTOR);
        else if (how == ALL || chance() % 2)
            bring_page(from, to, page, stat.st_size, how == SOME && chance() % 8 == 0 ? SECTOR * 3 : PAGE);
    }
    if ((how == ALL || (how == SOME && chance() % 3 == 0)) && syscall(SYS_ftruncate, to, stat.st_size) < 0)
        broken("truncate", target);
    if (how == ALL && object->dirty) memset(object->dirty, 0, object->pages);
    syscall(SYS_close, from);
    syscall(SYS_close, to);
}

static int is_dots(const char *name) { return !strcmp(name, ".") || !strcmp(name, ".."); }

/* Makes a folder's entries on the platter what they are, or some of them. */
static void bring_names(const char *path, struct object *folder, enum how how) {
    char target[PATH + 32], entry[PATH + 300], name[PATH + 300], is[PATH + 32], points[64], want[64];
    struct stat stat, there, wanted;
    object_path(target, folder, 1);
    DIR *listing = opendir(path);
    if (!listing) broken("list", path);
    for (struct dirent *it; (it = readdir(listing));) {
        snprintf(entry, sizeof entry, "%s/%s", path, it->d_name);
        if (is_dots(it->d_name) || lstat(entry, &stat) < 0) continue;
        if (!S_ISDIR(stat.st_mode) && !S_ISREG(stat.st_mode)) continue;
        if (how == SOME && chance() % 2) continue;
        struct object *object = known(entry, &stat);
        object_path(is, object, S_ISDIR(stat.st_mode));
        snprintf(name, sizeof name, "%s/%s", target, it->d_name);
        if (S_ISDIR(stat.st_mode)) {
            snprintf(want, sizeof want, "../d%u", object->number);
            ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, name, points, sizeof points - 1);
            if (length > 0 && (points[length] = 0, !strcmp(points, want))) continue;
            syscall(SYS_unlinkat, AT_FDCWD, name, 0);
            if (syscall(SYS_symlinkat, want, AT_FDCWD, name) < 0) broken("link", name);
        } else {
            if (lstat(is, &wanted) < 0) broken("look", is);
            if (lstat(name, &there) == 0 && there.st_ino == wanted.st_ino) continue;
            syscall(SYS_unlinkat, AT_FDCWD, name, 0);
            if (syscall(SYS_linkat, AT_FDCWD, is, AT_FDCWD, name, 0) < 0) broken("link", name);
        }
    }
    closedir(listing);
    if (!(listing = opendir(target))) broken("list", target);
    for (struct dirent *it; (it = readdir(listing));) {
        snprintf(entry, sizeof entry, "%s/%s", path, it->d_name);
        snprintf(name, sizeof name, "%s/%s", target, it->d_name);
        if (is_dots(it->d_name) || lstat(entry, &stat) == 0 || (how == SOME && chance() % 2)) continue;
        syscall(SYS_unlinkat, AT_FDCWD, name, 0);
    }
    closedir(listing);
}

/* Brings everything below a folder to the platter, or some of what was not synced. */
static void bring_tree(const char *path, enum how how) {
    char entry[PATH + 300];
    struct stat stat;
    if (lstat(path, &stat) < 0) broken("look", path);
    bring_names(path, known(path, &stat), how);
    DIR *listing = opendir(path);
    if (!listing) broken("list", path);
    for (struct dirent *it; (it = readdir(listing));) {
        snprintf(entry, sizeof entry, "%s/%s", path, it->d_name);
        if (is_dots(it->d_name) || lstat(entry, &stat) < 0) continue;
        if (S_ISDIR(stat.st_mode)) bring_tree(entry, how);
        else if (S_ISREG(stat.st_mode)) bring(entry, known(entry, &stat), how, 0);
    }
    closedir(listing);
}

static void cut(struct orders *orders, const char *operation, const char *path) {
    char note[PATH + 16];
    if (orders->torn) bring_tree(live, SOME);
    snprintf(note, sizeof note, "%s/cut", disk);
    int fd = sys_open(note, O_CREAT | O_WRONLY, 0644);
    dprintf(fd, "%lu %s .%s\n", operations, operation, path + strlen(live));
    syscall(SYS_kill, getpid(), SIGKILL);
    for (;;) pause();
}

__attribute__((constructor)) static void begin(void) {
    const char *live_path = getenv("LOSSY_LIVE"), *disk_path = getenv("LOSSY_DISK");
    if (!live_path || !disk_path) return;
    snprintf(live, sizeof live, "%s", live_path);
    snprintf(disk, sizeof disk, "%s", disk_path);
    char platter[PATH + 16];
    snprintf(platter, sizeof platter, "%s/platter", disk);
    if (syscall(SYS_mkdirat, AT_FDCWD, platter, 0755) < 0) broken("mkdir", platter);
    /* What is there at the start has been there for long. */
    bring_tree(live, ALL);
}

/* ---- what stands between ---- */

static int is_ours(const char *path) {
    size_t length = strlen(live);
    return length && !strncmp(path, live, length) && (path[length] == '/' || !path[length]);
}

/* Where an open file or folder of ours lies. */
static int ours(int fd, char *path, struct stat *stat) {
    char link[64];
    if (!*live || fd < 0 || fstat(fd, stat) < 0) return 0;
    if (!S_ISREG(stat->st_mode) && !S_ISDIR(stat->st_mode)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return is_ours(path);
}

/* An operation begins: it may be the one before which the power goes. Under the lock. */
static const char *begin_operation(struct orders *orders, const char *operation, const char *path) {
    read_orders(orders);
    operations++;
    if (orders->cut && is_meant(orders->part, path) && ++counted >= orders->cut) cut(orders, operation, path);
    return ordered(orders, operation, path);
}

static int refused(int number) {
    pthread_mutex_unlock(&lock);
    errno = number;
    return -1;
}

/* How much of a write is performed; a negative number is an error. */
static ssize_t allowed(const char *what, size_t size) {
    if (!what) return (ssize_t)size;
    if (number_of(what)) return -number_of(what);
    if (!strcmp(what, "short")) return (ssize_t)(size > 1 ? size / 2 : size);
    if (strncmp(what, "room:", 5)) return (ssize_t)size;
    if (strcmp(what, last_room)) strcpy(last_room, what), written = 0;
    unsigned long long room = strtoull(what + 5, NULL, 10);
    unsigned long long left = room > written ? room - written : 0;
    if (!left) return -ENOSPC;
    if (size > left) size = (size_t)left;
    written += size;
    return (ssize_t)size;
}

static ssize_t write_at(int fd, const void *buffer, size_t size, off_t at) {
    char path[PATH];
    struct stat stat;
    if (!ours(fd, path, &stat))
        return at < 0 ? syscall(SYS_write, fd, buffer, size) : syscall(SYS_pwrite64, fd, buffer, size, at);
    pthread_mutex_lock(&lock);
    struct orders orders;
    ssize_t most = allowed(begin_operation(&orders, "write", path), size);
    if (most < 0) return refused((int)-most);
    ssize_t done = at < 0 ? syscall(SYS_write, fd, buffer, most) : syscall(SYS_pwrite64, fd, buffer, most, at);
    int error = errno;
    if (done > 0) {
        off_t from = at < 0 ? lseek(fd, 0, SEEK_CUR) - done : at;
        struct object *object = known(path, &stat);
        touch(object, from, from + done);
        last_ino = stat.st_ino, last_page = (size_t)((from + done - 1) / PAGE);
        /* A kernel writes pages when it likes: in any order, and what they hold at that moment. */
        if (orders.torn && chance() % 8 == 0 && access(path, F_OK) == 0) bring(path, object, ONE, last_page);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}

ssize_t write(int fd, const void *buffer, size_t size) { return write_at(fd, buffer, size, -1); }
ssize_t pwrite(int fd, const void *buffer, size_t size, off_t at) { return write_at(fd, buffer, size, at); }
ssize_t pwrite64(int fd, const void *buffer, size_t size, off_t at) { return write_at(fd, buffer, size, at); }

ssize_t writev(int fd, const struct iovec *pieces, int count) {
    char path[PATH];
    struct stat stat;
    if (!ours(fd, path, &stat)) return syscall(SYS_writev, fd, pieces, count);
    for (int n = 0; n < count; n++) /* A short write is a write. */
        if (pieces[n].iov_len) return write_at(fd, pieces[n].iov_base, pieces[n].iov_len, -1);
    return 0;
}

static ssize_t read_at(int fd, void *buffer, size_t size, off_t at) {
    char path[PATH];
    struct stat stat;
    if (ours(fd, path, &stat) && S_ISREG(stat.st_mode)) {
        struct orders orders;
        pthread_mutex_lock(&lock);
        read_orders(&orders);
        const char *what = ordered(&orders, "read", path);
        if (what && number_of(what)) return refused(number_of(what));
        if (what && !strcmp(what, "short") && size > 1) size /= 2;
        pthread_mutex_unlock(&lock);
    }
    return at < 0 ? syscall(SYS_read, fd, buffer, size) : syscall(SYS_pread64, fd, buffer, size, at);
}

ssize_t read(int fd, void *buffer, size_t size) { return read_at(fd, buffer, size, -1); }
ssize_t pread(int fd, void *buffer, size_t size, off_t at) { return read_at(fd, buffer, size, at); }
ssize_t pread64(int fd, void *buffer, size_t size, off_t at) { return read_at(fd, buffer, size, at); }

static int resize(int fd, off_t length) {
    char path[PATH];
    struct stat stat;
    if (!ours(fd, path, &stat)) return (int)syscall(SYS_ftruncate, fd, length);
    pthread_mutex_lock(&lock);
    struct orders orders;
    const char *what = begin_operation(&orders, "write", path);
    if (what && number_of(what) && length > stat.st_size) return refused(number_of(what));
    int done = (int)syscall(SYS_ftruncate, fd, length);
    if (done == 0) {
        off_t less = length < stat.st_size ? length : stat.st_size, more = length + stat.st_size - less;
        touch(known(path, &stat), less, more);
    }
    pthread_mutex_unlock(&lock);
    return done;
}

int ftruncate(int fd, off_t length) { return resize(fd, length); }
int ftruncate64(int fd, off_t length) { return resize(fd, length); }

static int set_aside(int fd, int mode, off_t at, off_t length) {
    char path[PATH];
    struct stat stat;
    if (ours(fd, path, &stat)) {
        pthread_mutex_lock(&lock);
        struct orders orders;
        const char *what = begin_operation(&orders, "write", path);
        if (what && (number_of(what) || !strncmp(what, "room:", 5))) return refused(number_of(what) ? number_of(what) : ENOSPC);
        touch(known(path, &stat), at, at + length);
        pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_fallocate, fd, mode, at, length);
}

int fallocate(int fd, int mode, off_t at, off_t length) { return set_aside(fd, mode, at, length); }
int fallocate64(int fd, int mode, off_t at, off_t length) { return set_aside(fd, mode, at, length); }
int posix_fallocate(int fd, off_t at, off_t length) { return set_aside(fd, 0, at, length) ? errno : 0; }
int posix_fallocate64(int fd, off_t at, off_t length) { return set_aside(fd, 0, at, length) ? errno : 0; }

static int sync_file(int fd) {
    char path[PATH];
    struct stat stat;
    if (!ours(fd, path, &stat)) return (int)syscall(SYS_fsync, fd);
    int is_folder = S_ISDIR(stat.st_mode);
    pthread_mutex_lock(&lock);
    struct orders orders;
    const char *what = begin_operation(&orders, is_folder ? "syncdir" : "sync", path);
    struct object *object = known(path, &stat);
    if (what) {
        /* Whether it says so or not, what is not on the platter now is not tried again. */
        if (!is_folder && number_of(what) && object->dirty) memset(object->dirty, 0, object->pages);
        if (number_of(what)) return refused(number_of(what));
    } else if (access(path, F_OK) == 0) {
        if (is_folder) bring_names(path, object, ALL);
        else bring(path, object, ALL, 0);
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

int fsync(int fd) { return sync_file(fd); }
int fdatasync(int fd) { return sync_file(fd); }
/* It promises nothing: neither the length nor the disk's own cache. */
int sync_file_range(int fd, off_t at, off_t length, unsigned flags) {
    (void)fd, (void)at, (void)length, (void)flags;
    return 0;
}

static int opened(int folder, const char *path, int flags, mode_t mode) {
    int changes = flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR);
    if (!changes || !is_ours(path)) return (int)syscall(SYS_openat, folder, path, flags, mode);
    struct stat before, stat;
    struct orders orders;
    pthread_mutex_lock(&lock);
    int was_there = lstat(path, &before) == 0;
    if (!was_there || (flags & O_TRUNC)) {
        const char *what = begin_operation(&orders, "open", path);
        if (what && number_of(what)) return refused(number_of(what));
    }
    int fd = (int)syscall(SYS_openat, folder, path, flags, mode), error = errno;
    if (fd >= 0 && fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
        if (!was_there) make(stat.st_ino, 0);
        else if (flags & O_TRUNC) touch(known(path, &stat), 0, before.st_size);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE_OF(flags)                                                                                                     \
    mode_t mode = 0;                                                                                                       \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                                                 \
        va_list more;                                                                                                      \
        va_start(more, flags);                                                                                             \
        mode = va_arg(more, mode_t);                                                                                       \
        va_end(more);                                                                                                      \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(AT_FDCWD, path, flags, mode);
}
int open64(const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(AT_FDCWD, path, flags, mode);
}
int openat(int folder, const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(folder, path, flags, mode);
}
int openat64(int folder, const char *path, int flags, ...) {
    MODE_OF(flags)
    return opened(folder, path, flags, mode);
}
int creat(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return opened(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

/* A change of names: an operation like others; the platter sees it when the folder is synced. Goes on under the lock. */
static int names_change(const char *path, int takes_room) {
    struct orders orders;
    pthread_mutex_lock(&lock);
    const char *what = begin_operation(&orders, "open", path);
    int number = what ? number_of(what) : 0;
    return number && (takes_room || number != ENOSPC) ? refused(number) : 0;
}

int mkdir(const char *path, mode_t mode) {
    struct stat stat;
    if (!is_ours(path)) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    if (names_change(path, 1) < 0) return -1;
    int done = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode), error = errno;
    if (done == 0 && lstat(path, &stat) == 0) make(stat.st_ino, 1);
    pthread_mutex_unlock(&lock);
    errno = error;
    return done;
}
int unlink(const char *path) {
    if (!is_ours(path)) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    if (names_change(path, 0) < 0) return -1;
    pthread_mutex_unlock(&lock);
    return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
int rename(const char *from, const char *to) {
    if (!is_ours(to)) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    if (names_change(to, 0) < 0) return -1;
    pthread_mutex_unlock(&lock);
    return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
