/*
 * A name of shared memory that somebody else has taken first, with whatever he likes: nothing of his is opened, nothing
 * waits, and what he links to stays as it is.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include <msf_shmem.h>

#include "check.h"

#define NAME "msf-test-taken"
#define PATH "/dev/shm/" NAME
#define VICTIM PATH ".victim"

enum { SOMEBODY = 65534 };

static int plain(void)
{
    int file = open(PATH, O_CREAT | O_EXCL | O_RDWR, 0666);

    return file >= 0 && ftruncate(file, 8192) == 0;
}

static int pipe_of_that_name(void)
{
    return mkfifo(PATH, 0666) == 0;
}

static int folder(void)
{
    return mkdir(PATH, 0777) == 0;
}

static int link_to_ours(void)
{
    return symlink(VICTIM, PATH) == 0;
}

static int socket_of_that_name(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", PATH);
    return bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
}

/* Somebody who is not us takes the name. */
static void taken(int (*take)(void))
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        umask(0);
        _exit(setgid(SOMEBODY) != 0 || setuid(SOMEBODY) != 0 || !take());
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_NULL(msf_shm_create(NAME, 4096, 0600), EEXIST);
}

int main(void)
{
    struct stat about;
    struct msf_shm *ours;
    int victim;

    if (geteuid() != 0) {
        printf("only root can be somebody else\n");
        return 77;
    }
    msf_shm_unlink(NAME);
    victim = open(VICTIM, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
    CHECK(victim >= 0 && ftruncate(victim, 100) == 0);
    taken(plain);
    CHECK_NULL(msf_shm_open(NAME, 0600), EPERM);
    CHECK_NULL(msf_shm_open(NAME, 0777), EPERM); /* whatever rights we grant, he is not us */
    CHECK_EQ(msf_shm_unlink(NAME), 0);
    taken(pipe_of_that_name);
    CHECK_NULL(msf_shm_open(NAME, 0777), EPERM);
    CHECK_EQ(msf_shm_unlink(NAME), 0);
    taken(folder);
    CHECK_NULL(msf_shm_open(NAME, 0777), EISDIR);
    CHECK_EQ(rmdir(PATH), 0);
    taken(link_to_ours);
    CHECK_NULL(msf_shm_open(NAME, 0777), ELOOP);
    CHECK_EQ(msf_shm_unlink(NAME), 0);
    taken(socket_of_that_name);
    CHECK_NULL(msf_shm_open(NAME, 0777), ENXIO);
    CHECK_EQ(msf_shm_unlink(NAME), 0);
    /* He cannot name ours either, if the system forbids links to what is not his own; else its mode keeps us out. */
    CHECK_EQ(fchmod(victim, 0622), 0);
    if (link(VICTIM, PATH) == 0) {
        CHECK_NULL(msf_shm_open(NAME, 0600), EPERM);
        CHECK_EQ(msf_shm_unlink(NAME), 0);
    }
    CHECK(fstat(victim, &about) == 0 && about.st_size == 100);
    CHECK_EQ(unlink(VICTIM), 0);
    close(victim);
    ours = msf_shm_create(NAME, 4096, 0600);
    CHECK(ours != NULL);
    msf_shm_close(ours);
    CHECK_EQ(msf_shm_unlink(NAME), 0);
    return check_verdict();
}
