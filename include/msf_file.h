/*
 * msf_file.h - files: whole and in pieces, locks, pid files, mappings.
 *
 * Any thread. -1 and NULL come with errno. Places in files are 64 bits wide on every machine, whatever off_t is.
 */
#ifndef MSF_FILE_H
#define MSF_FILE_H

#include <fcntl.h>

#include "msf_utils.h"

#ifdef __cplusplus
extern "C" {
#endif

/* How msf_open_file opens: one of the first three, perhaps with further ones. */
#define MSF_FILE_RDONLY O_RDONLY
#define MSF_FILE_WRONLY O_WRONLY
#define MSF_FILE_RDWR O_RDWR
#define MSF_FILE_APPEND (O_WRONLY | O_APPEND)
#define MSF_FILE_NONBLOCK O_NONBLOCK
/* What it does about a file that is missing, or is there. */
#define MSF_FILE_OPEN 0
#define MSF_FILE_CREATE_OR_OPEN O_CREAT
#define MSF_FILE_TRUNCATE (O_CREAT | O_TRUNC)
/* Whom a new file is for. */
#define MSF_FILE_DEFAULT_ACCESS 0644
#define MSF_FILE_OWNER_ACCESS 0600

/* The system's own calls under the names of 2019. A new descriptor is closed by exec. */
#define msf_open_file(name, mode, create, access) open((const s8 *)(name), (mode) | (create) | O_CLOEXEC, (access))
#define msf_close_file(fd) close(fd)
#define msf_delete_file(name) unlink((const s8 *)(name))
#define msf_rename_file(from, to) rename((const s8 *)(from), (const s8 *)(to))
#define msf_access(name, mode) access((const s8 *)(name), (mode))
#define msf_stat(name, sb) stat((const s8 *)(name), (sb))
#define msf_fstat(fd, sb) fstat((fd), (sb))
#define msf_lstat(name, sb) lstat((const s8 *)(name), (sb))
/* The June 2019 names of the last three. */
#define msf_file_info(name, sb) msf_stat(name, sb)
#define msf_fd_info(fd, sb) msf_fstat(fd, sb)
#define msf_link_info(name, sb) msf_lstat(name, sb)

/* What msf_get_file_info is to find out beyond what is always told. */
#define MSF_FILE_READ 0
#define MSF_FILE_WRITE 1
#define MSF_FILE_EXEC 2

struct msf_file {
    s32 fd;              /* -1: nothing is opened */
    u64 uniq;            /* the inode */
    s64 mtime;           /* seconds since 1970 */
    s64 size;            /* bytes */
    s64 fs_size;         /* bytes it takes on the disk */
    s64 directio;        /* 0, and so is read_ahead: for the program's own use */
    size_t read_ahead;
    u32 flags_read_only; /* with MSF_FILE_WRITE: 1 when we may not write it */
    u32 is_exist;
    u32 is_dir;
    u32 is_file;
    u32 is_link;         /* the name is a symbolic link; the rest is about what it leads to, if that exists */
    u32 is_exec;         /* somebody may execute it */
    u32 is_directio;
    u32 exec_access;     /* with MSF_FILE_EXEC: 1 when we may execute it */
    u32 read_access;     /* 1 when we may read it */
};

/*
 * What `path` is and what we may do with it. 0; -1 EINVAL NULL or another mode, and else what stat says, in which case
 * *file_out is zeroed but for its fd: ENOENT there is nothing, ENOTDIR, EACCES.
 */
MSF_EXPORT s32 msf_get_file_info(const s8 *path, struct msf_file *file_out, u32 mode);

/* MSF_OK when the file is there and we may read and write it; MSF_ERR with errno: ENOENT, EACCES, EINVAL NULL. */
MSF_EXPORT s32 msf_chk_file_exist(const s8 *path);

/*
 * Reads at a place, and writes there, until all `size` bytes are done; the descriptor's own position stays. How many bytes it
 * was: fewer when the file ends, or the disk is full. -1 when it was none because of EBADF (also for a size of 0), EINVAL
 * (NULL, a negative place), ENOSPC ...
 */
MSF_EXPORT ssize_t msf_read_file(s32 fd, u8 *buffer, size_t size, s64 offset);
MSF_EXPORT ssize_t msf_write_file(s32 fd, const u8 *buffer, size_t size, s64 offset);

/*
 * The whole file as a text with a NUL behind it, from malloc: the caller frees it. Nobody is waited for. NULL: EINVAL NULL, or a
 * pipe, a socket, a device; EISDIR, ENOENT ..., EFBIG more than 64 MiB.
 */
MSF_EXPORT s8 *config_read_file(const s8 *path);

/* The same for any bytes, and how many there are (without the NUL). size_out may be NULL. */
MSF_EXPORT u8 *msf_file_load(const s8 *path, size_t *size_out);

/*
 * The file has these bytes from now on: whoever reads it meanwhile, or after a crash of the machine, finds the old ones or the
 * new ones. It is a new file, made with `mode` less the umask. 0; -1 EINVAL NULL, EISDIR, ENOENT no such folder,
 * EACCES, ENOSPC ...: then the old one is still there.
 */
MSF_EXPORT s32 msf_file_replace(const s8 *path, const void *bytes, size_t size, u32 mode);

/*
 * Locks an open file for this descriptor (and its copies, also in forked children): others that open and lock the file wait,
 * at most timeout_ms (MSF_NO_WAIT, MSF_WAIT_FOREVER). 0; -1 EAGAIN it is locked, ETIMEDOUT it still was, EBADF.
 */
MSF_EXPORT s32 msf_file_lock(s32 fd, s32 timeout_ms);

/* Gives back that lock, and those of fcntl(2) that this process has on the file. 0; -1 EBADF. */
MSF_EXPORT s32 msf_unlock_fd(s32 fd);

/* Bytes of a block of the file system that `path` is in; 512 when that cannot be told. */
MSF_EXPORT size_t msf_fs_bsize(const u8 *path);

/* A crash of this process leaves a core dump, as large as it may become, also after a change of user. */
MSF_EXPORT void msf_enable_coredump(void);

/*
 * Pid files, as scripts read them. A number outlives its process and comes again, so they are hints: msf_process_claim of
 * msf_process.h is what makes sure that there is one process of a name.
 *
 * msf_create_pidfile writes ours: 0; -1 EEXIST when the file names another process that is running, EINVAL NULL, or it is a
 * pipe, a socket or a device, EISDIR, ENOENT no such folder, EACCES. msf_write_pidfile does so whoever is named there; a failure is in the log.
 */
MSF_EXPORT s32 msf_create_pidfile(const s8 *path);
MSF_EXPORT void msf_write_pidfile(const s8 *path);

/* Removes a pid file, unless it names another process that is running. */
MSF_EXPORT void msf_delete_pidfile(const s8 *path);

/* The number in a pid file; 0 there is none in it, -1 ENOENT there is no file, EINVAL NULL or no regular file, EISDIR, EACCES. */
MSF_EXPORT pid_t msf_read_pidfile(const s8 *path);

/* 1 when a process of the number in the pid file is there, whoever it is now; 0 when not; -1 EINVAL NULL or no
 * regular file, EISDIR, EACCES. */
MSF_EXPORT s32 msf_check_runningpid(const s8 *path);

/* A file in memory. The caller sets name and size, the rest is ours. */
struct msf_file_mapping {
    u8 *name;
    size_t size;
    void *addr; /* `size` bytes, shared with everybody who maps the file */
    s32 fd;
};

/*
 * Makes `name` a file of `size` zeroes and maps it; one that is there is emptied first. 0; -1 with addr NULL and fd -1:
 * EINVAL NULL or size 0, ENOENT no such folder, EACCES, EISDIR, ENOSPC the disk has no such room, ENOMEM, EFBIG.
 */
MSF_EXPORT s32 msf_create_file_mapping(struct msf_file_mapping *mapping);

/* Unmaps it and closes the file, which stays; addr is NULL and fd -1 from then on. NULL, or one that is not mapped, is ignored. */
MSF_EXPORT void msf_close_file_mapping(struct msf_file_mapping *mapping);

#ifdef __cplusplus
}
#endif

#endif /* MSF_FILE_H */
