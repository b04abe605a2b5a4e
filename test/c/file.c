/*
 * Files: whole, in pieces, replaced, locked, mapped, and what they are.
 */
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <msf_file.h>

#include "apart.h"
#include "check.h"

static char folder[] = "/tmp/msf-test-file-XXXXXX";

/* A path in the folder; good until the next but three. */
static char *in_folder(const char *name)
{
    static char paths[4][300];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
    return path;
}

static void write_text(const char *name, const char *text)
{
    CHECK_EQ(msf_file_replace(in_folder(name), text, strlen(text), 0644), 0);
}

static void as_one(void)
{
    const u8 odd[] = { 'a', 0, 'b', 0xff };
    size_t size = 4711;
    struct stat about;
    s8 *text;
    u8 *bytes;

    errno = 4711;
    CHECK_EQ(msf_file_replace(in_folder("whole"), "port = 1\n", 9, 0640), 0);
    CHECK_EQ(errno, 4711);
    text = config_read_file(in_folder("whole"));
    CHECK(text != NULL && strcmp(text, "port = 1\n") == 0);
    free(text);
    CHECK(msf_stat(in_folder("whole"), &about) == 0 && (about.st_mode & 0777) == 0640);
    CHECK_EQ(msf_file_replace(in_folder("whole"), odd, sizeof(odd), 0600), 0);
    bytes = msf_file_load(in_folder("whole"), &size);
    CHECK(bytes != NULL && size == sizeof(odd) && memcmp(bytes, odd, size) == 0 && bytes[size] == 0);
    free(bytes);
    CHECK_EQ(msf_file_replace(in_folder("whole"), NULL, 0, 0600), 0);
    text = config_read_file(in_folder("whole"));
    CHECK(text != NULL && text[0] == '\0');
    free(text);
    /* What tells no length beforehand. */
    text = config_read_file("/proc/self/status");
    CHECK(text != NULL && strncmp(text, "Name:", 5) == 0);
    free(text);
    CHECK_NULL(config_read_file(in_folder("missing")), ENOENT);
    CHECK_NULL(config_read_file(NULL), EINVAL);
    CHECK_NULL(config_read_file(folder), EISDIR);
    CHECK_NULL(config_read_file("/dev/zero"), EINVAL);
    /* Nobody is going to write into it. */
    CHECK_EQ(mkfifo(in_folder("pipe"), 0600), 0);
    CHECK_NULL(config_read_file(in_folder("pipe")), EINVAL);
    CHECK_EQ(msf_delete_file(in_folder("pipe")), 0);
    write_text("large", "");
    CHECK_EQ(truncate(in_folder("large"), (64 << 20) + 1), 0);
    CHECK_NULL(config_read_file(in_folder("large")), EFBIG);
    CHECK_EQ(msf_delete_file(in_folder("large")), 0);
    CHECK_NULL(msf_file_load(in_folder("missing"), &size), ENOENT);
    CHECK_NULL(msf_file_load(NULL, NULL), EINVAL);
    CHECK_NULL(msf_file_load(folder, NULL), EISDIR);
    CHECK_FAILS(msf_file_replace(in_folder("no/folder"), "x", 1, 0600), ENOENT);
    CHECK_FAILS(msf_file_replace(folder, "x", 1, 0600), EISDIR);
    CHECK_FAILS(msf_file_replace("/", "x", 1, 0600), EISDIR);
    CHECK_FAILS(msf_file_replace(NULL, "x", 1, 0600), EINVAL);
    CHECK_FAILS(msf_file_replace(in_folder("whole"), NULL, 1, 0600), EINVAL);
    CHECK_EQ(msf_delete_file(in_folder("whole")), 0);
}

static void in_pieces(void)
{
    s32 fd = msf_open_file(in_folder("pieces"), MSF_FILE_RDWR, MSF_FILE_TRUNCATE, MSF_FILE_DEFAULT_ACCESS);
    u8 out[] = "0123456789", in[16];
    struct rlimit small, before;

    CHECK(fd >= 0 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
    errno = 4711;
    CHECK_EQ(msf_write_file(fd, out, 10, 5), 10);
    CHECK_EQ(errno, 4711);
    CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
    memset(in, 0x5a, sizeof(in));
    CHECK_EQ(msf_read_file(fd, in, 16, 3), 12); /* where the file ends */
    CHECK(memcmp(in, "\0\0000123456789", 12) == 0 && in[12] == 0x5a);
    CHECK_EQ(msf_read_file(fd, in, 16, 15), 0);
    CHECK_EQ(msf_read_file(fd, in, 1, (s64)1 << 40), 0);
    /* A limit stands in for the full disk: what fits is written and told, then comes the reason. */
    CHECK(getrlimit(RLIMIT_FSIZE, &before) == 0);
    small = before;
    small.rlim_cur = 18;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK_EQ(msf_write_file(fd, out, 10, 15), 3);
    CHECK_FAILS(msf_write_file(fd, out + 3, 7, 18), EFBIG);
    CHECK(setrlimit(RLIMIT_FSIZE, &before) == 0);
    CHECK_FAILS(msf_read_file(fd, in, 1, -1), EINVAL);
    CHECK_FAILS(msf_read_file(fd, NULL, 1, 0), EINVAL);
    CHECK_FAILS(msf_write_file(fd, out, 1, -1), EINVAL);
    CHECK_FAILS(msf_write_file(fd, NULL, 1, 0), EINVAL);
    CHECK_EQ(msf_close_file(fd), 0);
    CHECK_FAILS(msf_read_file(fd, in, 1, 0), EBADF);
    CHECK_FAILS(msf_write_file(fd, out, 1, 0), EBADF);
    CHECK_FAILS(msf_read_file(-1, in, 1, 0), EBADF);
    /* Also when there is nothing to be done. */
    CHECK_FAILS(msf_read_file(fd, in, 0, 0), EBADF);
    CHECK_FAILS(msf_write_file(fd, out, 0, 0), EBADF);
    CHECK_FAILS(msf_write_file(fd, NULL, 0, 0), EBADF);
    if (access("/dev/full", W_OK) == 0) {
        fd = msf_open_file("/dev/full", MSF_FILE_WRONLY, MSF_FILE_OPEN, 0);
        CHECK_FAILS(msf_write_file(fd, out, 1, 0), ENOSPC);
        msf_close_file(fd);
    }
    fd = msf_open_file(in_folder("pieces"), MSF_FILE_APPEND | MSF_FILE_NONBLOCK, MSF_FILE_CREATE_OR_OPEN, MSF_FILE_OWNER_ACCESS);
    CHECK(fd >= 0 && write(fd, "x", 1) == 1 && lseek(fd, 0, SEEK_CUR) == 19);
    msf_close_file(fd);
    fd = msf_open_file(in_folder("pieces"), MSF_FILE_RDONLY, MSF_FILE_OPEN, 0);
    CHECK_FAILS(msf_write_file(fd, out, 1, 0), EBADF);
    msf_close_file(fd);
    CHECK_EQ(msf_rename_file(in_folder("pieces"), in_folder("renamed")), 0);
    CHECK(msf_access(in_folder("renamed"), F_OK) == 0 && msf_access(in_folder("pieces"), F_OK) != 0);
    CHECK_EQ(msf_delete_file(in_folder("renamed")), 0);
}

static void what_it_is(void)
{
    struct msf_file file;
    struct stat about, again;

    write_text("is", "12345");
    CHECK_EQ(chmod(in_folder("is"), 0750), 0);
    memset(&file, 0x5a, sizeof(file));
    errno = 4711;
    CHECK_EQ(msf_get_file_info(in_folder("is"), &file, MSF_FILE_READ), 0);
    CHECK_EQ(errno, 4711);
    CHECK(msf_stat(in_folder("is"), &about) == 0 && msf_file_info(in_folder("is"), &again) == 0);
    CHECK(about.st_ino == again.st_ino && file.uniq == about.st_ino && file.mtime == about.st_mtime);
    CHECK(file.fd == -1 && file.size == 5 && file.fs_size == (s64)about.st_blocks * 512);
    CHECK(file.is_exist == 1 && file.is_file == 1 && file.is_dir == 0 && file.is_link == 0 && file.is_exec == 1);
    CHECK(file.read_access == 1 && file.flags_read_only == 0 && file.exec_access == 0);
    CHECK(file.directio == 0 && file.read_ahead == 0 && file.is_directio == 0);
    CHECK(msf_get_file_info(in_folder("is"), &file, MSF_FILE_WRITE | MSF_FILE_EXEC) == 0 && file.exec_access == 1);
    CHECK(symlink("is", in_folder("link")) == 0 && symlink("nowhere", in_folder("lost")) == 0);
    CHECK(msf_get_file_info(in_folder("link"), &file, 0) == 0 && file.is_link == 1 && file.is_file == 1 && file.size == 5);
    CHECK(msf_lstat(in_folder("link"), &about) == 0 && S_ISLNK(about.st_mode));
    CHECK(msf_link_info(in_folder("link"), &again) == 0 && again.st_ino == about.st_ino);
    CHECK(msf_get_file_info(in_folder("lost"), &file, 0) == 0 && file.is_link == 1 && file.is_file == 0);
    CHECK(msf_get_file_info(folder, &file, 0) == 0 && file.is_dir == 1 && file.is_exec == 0);
    CHECK(msf_fstat(0, &about) == 0 && msf_fd_info(0, &again) == 0 && about.st_ino == again.st_ino);
    CHECK_FAILS(msf_get_file_info(in_folder("missing"), &file, 0), ENOENT);
    CHECK(file.is_exist == 0 && file.is_link == 0 && file.fd == -1);
    CHECK_FAILS(msf_get_file_info(in_folder("is/x"), &file, 0), ENOTDIR);
    CHECK_FAILS(msf_get_file_info(NULL, &file, 0), EINVAL);
    CHECK_FAILS(msf_get_file_info(folder, NULL, 0), EINVAL);
    CHECK_FAILS(msf_get_file_info(folder, &file, 4), EINVAL);
    CHECK_EQ(msf_chk_file_exist(in_folder("is")), MSF_OK);
    CHECK_FAILS(msf_chk_file_exist(in_folder("missing")), ENOENT);
    CHECK_FAILS(msf_chk_file_exist(NULL), EINVAL);
    CHECK(unlink(in_folder("link")) == 0 && unlink(in_folder("lost")) == 0);
}

/* What root may do anyway. */
static int without_rights(void)
{
    struct msf_file_mapping mapping = { (u8 *)in_folder("is"), 100, NULL, 0 };
    struct msf_file file;

    if (geteuid() == 0 && setuid(4711) != 0)
        return 1;
    CHECK_FAILS(msf_chk_file_exist(in_folder("is")), EACCES);
    CHECK(msf_get_file_info(in_folder("is"), &file, MSF_FILE_WRITE | MSF_FILE_EXEC) == 0);
    CHECK(file.read_access == 0 && file.flags_read_only == 1 && file.exec_access == 0);
    CHECK_FAILS(msf_create_file_mapping(&mapping), EACCES);
    CHECK_FAILS(msf_file_replace(in_folder("new"), "x", 1, 0600), EACCES);
    CHECK_FAILS(msf_create_pidfile(in_folder("new")), EACCES);
    CHECK_FAILS(msf_read_pidfile(in_folder("is")), EACCES);
    CHECK_FAILS(msf_check_runningpid(in_folder("is")), EACCES);
    CHECK_FAILS(msf_get_file_info(in_folder("closed/x"), &file, 0), EACCES);
    return check_verdict();
}

static void rights(void)
{
    CHECK(mkdir(in_folder("closed"), 0) == 0 && chmod(in_folder("is"), geteuid() == 0 ? 0700 : 0) == 0);
    CHECK_EQ(chmod(folder, geteuid() == 0 ? 0755 : 0500), 0);
    CHECK_EQ(apart(without_rights), 0);
    CHECK_EQ(chmod(folder, 0700), 0);
    CHECK(rmdir(in_folder("closed")) == 0 && unlink(in_folder("is")) == 0);
}

static s32 locked;

static int finds_it_locked(void)
{
    s32 fd = msf_open_file(in_folder("lock"), MSF_FILE_RDWR, MSF_FILE_OPEN, 0);
    long long before = check_now();

    CHECK_FAILS(msf_file_lock(fd, MSF_NO_WAIT), EAGAIN);
    CHECK_FAILS(msf_file_lock(fd, 30), ETIMEDOUT);
    CHECK(check_now() - before >= 30);
    close(locked); /* a copy; the parent still has it */
    CHECK_FAILS(msf_file_lock(fd, MSF_NO_WAIT), EAGAIN);
    return check_verdict();
}

static int finds_it_free(void)
{
    s32 fd = msf_open_file(in_folder("lock"), MSF_FILE_RDWR, MSF_FILE_OPEN, 0);
    struct flock whole = { .l_type = F_WRLCK };

    close(locked);
    CHECK_EQ(msf_file_lock(fd, MSF_WAIT_FOREVER), 0);
    CHECK_EQ(fcntl(fd, F_SETLK, &whole), 0);
    return check_verdict();
}

static void locks(void)
{
    struct flock whole = { .l_type = F_WRLCK };

    locked = msf_open_file(in_folder("lock"), MSF_FILE_RDWR, MSF_FILE_CREATE_OR_OPEN, MSF_FILE_OWNER_ACCESS);
    CHECK_EQ(msf_file_lock(locked, MSF_NO_WAIT), 0);
    CHECK_EQ(fcntl(locked, F_SETLK, &whole), 0);
    CHECK_EQ(apart(finds_it_locked), 0);
    CHECK_EQ(msf_unlock_fd(locked), 0);
    CHECK_EQ(apart(finds_it_free), 0);
    CHECK_EQ(msf_file_lock(locked, 10000), 0);
    close(locked);
    CHECK_FAILS(msf_file_lock(locked, MSF_NO_WAIT), EBADF);
    CHECK_FAILS(msf_unlock_fd(locked), EBADF);
    CHECK_FAILS(msf_unlock_fd(-1), EBADF);
    CHECK_EQ(unlink(in_folder("lock")), 0);
}

static int sees_what_is_written(void)
{
    s32 fd = msf_open_file(in_folder("map"), MSF_FILE_RDWR, MSF_FILE_OPEN, 0);
    u8 *theirs = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    CHECK(theirs != MAP_FAILED && theirs[9999] == 'x');
    theirs[0] = 'y';
    return check_verdict();
}

static void mappings(void)
{
    struct msf_file_mapping mapping = { (u8 *)in_folder("map"), 10000, NULL, 0 };
    struct stat about;
    u8 *ours;

    write_text("map", "old");
    CHECK_EQ(msf_create_file_mapping(&mapping), 0);
    CHECK(mapping.fd >= 0 && fstat(mapping.fd, &about) == 0 && about.st_size == 10000);
    ours = mapping.addr;
    CHECK(ours != NULL && ours[0] == 0);
    ours[9999] = 'x';
    CHECK_EQ(apart(sees_what_is_written), 0);
    CHECK(ours[0] == 'y');
    msf_close_file_mapping(&mapping);
    CHECK(mapping.addr == NULL && mapping.fd == -1);
    msf_close_file_mapping(&mapping);
    msf_close_file_mapping(NULL);
    mapping.size = 0;
    CHECK_FAILS(msf_create_file_mapping(&mapping), EINVAL);
    if (sizeof(size_t) > 4) {
        mapping.size = SIZE_MAX;
        CHECK_FAILS(msf_create_file_mapping(&mapping), EFBIG);
    }
    mapping.size = 10;
    mapping.name = (u8 *)in_folder("no/folder");
    CHECK_FAILS(msf_create_file_mapping(&mapping), ENOENT);
    CHECK(mapping.addr == NULL && mapping.fd == -1);
    mapping.name = (u8 *)folder;
    CHECK_FAILS(msf_create_file_mapping(&mapping), EISDIR);
    mapping.name = NULL;
    CHECK_FAILS(msf_create_file_mapping(&mapping), EINVAL);
    CHECK_FAILS(msf_create_file_mapping(NULL), EINVAL);
    CHECK_EQ(unlink(in_folder("map")), 0);
}

static int has_room_for_a_core(void)
{
    struct rlimit now, some = { 0, 1000 };

    CHECK(setrlimit(RLIMIT_CORE, &some) == 0 && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0);
    msf_enable_coredump();
    CHECK(getrlimit(RLIMIT_CORE, &now) == 0 && now.rlim_cur == now.rlim_max && now.rlim_cur >= 1000);
    CHECK_EQ(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0), 1);
    return check_verdict();
}

int main(void)
{
    CHECK(mkdtemp(folder) != NULL);
    as_one();
    in_pieces();
    what_it_is();
    rights();
    locks();
    mappings();
    CHECK_EQ(apart(has_room_for_a_core), 0);
    CHECK(msf_fs_bsize((const u8 *)folder) >= 512);
    CHECK_EQ(msf_fs_bsize((const u8 *)"/nowhere/at/all"), 512);
    CHECK_EQ(msf_fs_bsize(NULL), 512);
    CHECK_EQ(rmdir(folder), 0); /* nothing was left behind */
    return check_verdict();
}
