/* Segments of shared memory: 2019's description, sealed ones, named ones, and those that come as a descriptor. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <msf_shmem.h>

#include "check.h"

static s8 name[64];
static const size_t too_much = sizeof(size_t) == 8 ? (size_t)-1 / 4 : (size_t)0x7ff00000;

static const s8 *called(const s8 *what)
{
    snprintf(name, sizeof(name), "/msf-test-%d-%s", (int)getpid(), what);
    return name;
}

static void as_2019_described_it(void)
{
    ngx_shm_t shm = { NULL, 10000, NULL, 7 };
    msf_shm_t other = { NULL, 10000, NULL, 0 };
    int status;

    CHECK_EQ(ngx_shm_alloc(&shm), 0);
    CHECK(shm.addr != NULL && shm.exists == 0 && shm.addr[9999] == 0);
    if (fork() == 0) {
        memcpy(shm.addr, "from the child", 15);
        _exit(0);
    }
    wait(&status);
    CHECK(strcmp((char *)shm.addr, "from the child") == 0);
    ngx_shm_free(&shm);
    CHECK(shm.addr == NULL);
    ngx_shm_free(&shm);
    ngx_shm_free(NULL);

    shm.name = (s8 *)called("2019");
    CHECK_EQ(msf_shm_alloc(&shm), 0);
    CHECK_EQ(shm.exists, 0);
    other.name = shm.name;
    CHECK_EQ(msf_shm_alloc(&other), 0);
    CHECK_EQ(other.exists, 1);
    shm.addr[5] = 42;
    CHECK_EQ(other.addr[5], 42);
    msf_shm_free(&other);
    other.size = 10001;
    CHECK_FAILS(msf_shm_alloc(&other), EINVAL);
    msf_shm_free(&shm);
    CHECK_EQ(msf_shm_unlink(name), 0);

    other = (ngx_shm_t){ NULL, 0, NULL, 0 };
    CHECK_FAILS(ngx_shm_alloc(&other), EINVAL);
    CHECK_FAILS(ngx_shm_alloc(NULL), EINVAL);
    other.size = (size_t)1 << (sizeof(size_t) == 8 ? 46 : 30);
    for (int turn = 0; turn < 4 && ngx_shm_alloc(&other) == 0; turn++)
        continue;       /* 32 bits hold one or two of a gigabyte; what they keep is gone with the process */
    CHECK_FAILS(ngx_shm_alloc(&other), ENOMEM);

    struct msf_shm *wide = msf_shm_create(called("wide"), 4096, 0666);
    ngx_shm_t refused = { NULL, 4096, name, 0 };
    CHECK(wide != NULL);
    CHECK_FAILS(ngx_shm_alloc(&refused), EPERM);
    msf_shm_close(wide);
    CHECK_EQ(msf_shm_unlink(name), 0);
}

static void sealed(void)
{
    struct msf_shm *shm = msf_shm_new("frames", 100000), *same;
    s8 label[300];

    CHECK(shm != NULL);
    CHECK_EQ(msf_shm_size(shm), 100000);
    CHECK_EQ(fcntl(msf_shm_fd(shm), F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL),
             F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    CHECK_FAILS(ftruncate(msf_shm_fd(shm), 10), EPERM);
    CHECK(fcntl(msf_shm_fd(shm), F_GETFD) & FD_CLOEXEC);
    same = msf_shm_attach(msf_shm_fd(shm));
    CHECK(same != NULL && msf_shm_size(same) == 100000);
    memset(msf_shm_addr(shm), 3, 100000);
    CHECK_EQ(((u8 *)msf_shm_addr(same))[99999], 3);
    msf_shm_close(shm);
    CHECK_EQ(((u8 *)msf_shm_addr(same))[0], 3);
    msf_shm_close(same);
    msf_shm_close(NULL);

    memset(label, 'x', sizeof(label));
    label[250] = 0;
    CHECK_NULL(msf_shm_new(label, 4096), EINVAL);
    CHECK_NULL(msf_shm_new(NULL, 4096), EINVAL);
    CHECK_NULL(msf_shm_new("none", 0), EINVAL);
    if (sizeof(size_t) == 8)
        CHECK_NULL(msf_shm_new("none", (size_t)-1 / 131072), ENOMEM);      /* all that a process may have */
    CHECK_NULL(msf_shm_new("none", (size_t)-1), EFBIG);
    CHECK_NULL(msf_shm_addr(NULL), EINVAL);
    CHECK_FAILS(msf_shm_fd(NULL), EINVAL);
    errno = 0;
    CHECK(msf_shm_size(NULL) == 0 && errno == EINVAL);
}

static void named(void)
{
    struct msf_shm *shm = msf_shm_create(called("named"), 5000, 0600), *same;
    s8 link[80];

    CHECK(shm != NULL);
    CHECK_NULL(msf_shm_create(name, 5000, 0600), EEXIST);
    same = msf_shm_open(name, 0600);
    CHECK(same != NULL && msf_shm_size(same) == 5000);
    ((u8 *)msf_shm_addr(shm))[1] = 9;
    CHECK_EQ(((u8 *)msf_shm_addr(same))[1], 9);
    msf_shm_close(same);
    same = msf_shm_attach(msf_shm_fd(shm));
    CHECK(same != NULL);
    msf_shm_close(same);
    msf_shm_close(shm);
    CHECK_EQ(msf_shm_unlink(name), 0);
    CHECK_FAILS(msf_shm_unlink(name), ENOENT);
    CHECK_NULL(msf_shm_open(name, 0600), ENOENT);

    shm = msf_shm_create(called("group"), 5000, 0660);
    CHECK(shm != NULL);
    CHECK_NULL(msf_shm_open(name, 0600), EPERM);
    CHECK_NULL(msf_shm_attach(msf_shm_fd(shm)), EPERM);
    same = msf_shm_open(name, 0660);
    CHECK(same != NULL);
    msf_shm_close(same);
    msf_shm_close(shm);
    CHECK_EQ(msf_shm_unlink(name), 0);

    snprintf(link, sizeof(link), "/dev/shm%s", called("link"));
    CHECK_EQ(symlink("/etc/passwd", link), 0);
    CHECK_NULL(msf_shm_open(name, 0600), ELOOP);
    CHECK_EQ(msf_shm_unlink(name), 0);

    CHECK_NULL(msf_shm_open(NULL, 0600), EINVAL);
    CHECK_NULL(msf_shm_open("a/b", 0600), EINVAL);
    CHECK_NULL(msf_shm_create(called("mode"), 5000, 0400), EINVAL);
    CHECK_NULL(msf_shm_create("", 5000, 0600), EINVAL);
    CHECK_NULL(msf_shm_create(called("size"), 0, 0600), EINVAL);
    CHECK_NULL(msf_shm_create(called("size"), (size_t)-1, 0600), EFBIG);
    CHECK_FAILS(msf_shm_unlink(".."), EINVAL);
    CHECK_FAILS(msf_shm_unlink(NULL), EINVAL);
}

/* Only a machine with a limit on its shared memory can say ENOSPC; others may really have so much. */
static void more_than_there_is(void)
{
    errno = 0;
    struct msf_shm *shm = msf_shm_create(called("huge"), too_much, 0600);
    int failed = errno;

    CHECK(shm == NULL && (failed == ENOSPC || failed == ENOMEM || failed == EFBIG));
    CHECK_NULL(msf_shm_open(name, 0600), ENOENT);
}

static void descriptors_that_could_kill_us(void)
{
    int unsealed = memfd_create("unsealed", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int empty = memfd_create("empty", MFD_CLOEXEC | MFD_ALLOW_SEALING), pipes[2];
    struct msf_shm *shm;
    s8 path[64];
    int reading;

    CHECK_EQ(ftruncate(unsealed, 4096), 0);
    CHECK_NULL(msf_shm_attach(unsealed), EPERM);
    CHECK_EQ(fcntl(unsealed, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    CHECK_NULL(msf_shm_attach(unsealed), EPERM);
    CHECK_EQ(fcntl(unsealed, F_ADD_SEALS, F_SEAL_GROW), 0);
    shm = msf_shm_attach(unsealed);
    CHECK(shm != NULL);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", unsealed);
    reading = open(path, O_RDONLY | O_CLOEXEC);
    CHECK_NULL(msf_shm_attach(reading), EACCES);
    close(reading);
    msf_shm_close(shm);
    CHECK_EQ(fcntl(empty, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    CHECK_NULL(msf_shm_attach(empty), EINVAL);
    CHECK_EQ(pipe(pipes), 0);
    CHECK_NULL(msf_shm_attach(pipes[0]), EPERM);
    CHECK_NULL(msf_shm_attach(-1), EBADF);
    CHECK_NULL(msf_shm_attach(12345), EBADF);
    close(pipes[0]);
    close(pipes[1]);
    close(unsealed);
    close(empty);
}

static void no_descriptors_left(void)
{
    struct rlimit before, few;
    struct msf_shm *shm = msf_shm_create(called("few"), 4096, 0600);

    CHECK(shm != NULL);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)msf_shm_fd(shm) + 1;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    CHECK_NULL(msf_shm_new("none", 4096), EMFILE);
    CHECK_NULL(msf_shm_create("msf-test-none", 4096, 0600), EMFILE);
    CHECK_NULL(msf_shm_open(name, 0600), EMFILE);
    CHECK_NULL(msf_shm_attach(msf_shm_fd(shm)), EMFILE);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    msf_shm_close(shm);
    CHECK_EQ(msf_shm_unlink(name), 0);
}

int main(void)
{
    as_2019_described_it();
    sealed();
    named();
    more_than_there_is();
    descriptors_that_could_kill_us();
    no_descriptors_left();
    return check_verdict();
}
