/*
 * What a C program sees of the log: the record's format, one line per record, errno left alone, levels,
 * folders that are created, and a file that somebody else has renamed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <msf_log.h>

#include "must.h"

#define TEST_LOG(level, ...) msf_log_write(level, "TEST", MSF_FUNC_FILE_LINE, __VA_ARGS__)

static char folder[] = "/tmp/msf-test-log-XXXXXX";
static char path[256];
static char text[1 << 20];

static const char *content(const char *name)
{
    FILE *file;
    size_t length;
    MUST(msf_log_flush() == 0);
    file = fopen(name, "r");
    MUST(file != NULL);
    length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = '\0';
    return text;
}

static int lines(const char *of)
{
    int count = 0;
    for (; *of != '\0'; of++) {
        count += *of == '\n';
    }
    return count;
}

static void before_it_is_open(void)
{
    MUST(TEST_LOG(DBG_INFO, "dropped") == 0);
    errno = 0;
    MUST(msf_log_reopen() == -1 && errno == ENOENT);
    errno = 0;
    MUST(msf_log_init(NULL) == -1 && errno == EINVAL);
    errno = 0;
    MUST(msf_log_init("/proc/no/such/folder/x.log") == -1 && errno != 0);
    errno = 0;
    MUST(msf_log_init_default("a/b") == -1 && errno == EINVAL);
}

static void the_format(void)
{
    char expected[512], word[64];
    int year, month, day, hour, minute, second, end = 0, line;
    errno = 4711;
    line = __LINE__ + 1;
    MUST(TEST_LOG(DBG_DEBUG, "%d %s %ld %.2f %c%%", 1, "two", 3L, 4.0, '5') == 0);
    MUST(errno == 4711);
    content(path);
    MUST(sscanf(text, "[%d-%d-%d %d:%d:%d]%n", &year, &month, &day, &hour, &minute, &second, &end) == 6);
    MUST(end > 0 && year > 2000 && month >= 1 && month <= 12);
    snprintf(word, sizeof word, "-%d-%d ", month, day);
    MUST(strstr(text, word) != NULL); /* the date is not padded */
    snprintf(word, sizeof word, " %02d:%02d:%02d]", hour, minute, second);
    MUST(strstr(text, word) != NULL); /* the time is */
    snprintf(expected, sizeof expected, "[TEST][DEBUG][%s %s:%d] 1 two 3 4.00 5%%[pid:%d,tid:%d]\n", __func__,
             __FILE__, line, (int)getpid(), (int)getpid());
    MUST(strcmp(text + end, expected) == 0);
}

static void one_record_is_one_line(void)
{
    static char large[100001];
    const char *found;
    int before = lines(content(path));
    memset(large, 'x', sizeof large - 1);
    MUST(TEST_LOG(DBG_INFO, "first\nsecond\n") == 0);
    MUST(TEST_LOG(DBG_INFO, "%s end", large) == 0);
    MUST(msf_log_write(DBG_INFO, "%n%s", "%s", "%d", 1, "percent") == 0);
    MUST(lines(content(path)) == before + 3);
    MUST(strstr(text, "] first\\nsecond[pid:") != NULL);
    MUST(strstr(text, "x end[pid:") != NULL);
    MUST(strstr(text, "[%n%s][INFO][%s %d:1] percent[pid:") != NULL);
    found = strchr(strstr(text, "] xxx"), 'x');
    MUST(strspn(found, "x") == sizeof large - 1);
}

/* The quick way and printf's own write the same. */
#define SAME(...)                                                                                \
    do {                                                                                         \
        snprintf(expected, sizeof expected, "] " __VA_ARGS__);                                   \
        strcat(expected, "[pid:");                                                               \
        MUST(TEST_LOG(DBG_INFO, __VA_ARGS__) == 0);                                              \
        MUST(strstr(content(path), expected) != NULL);                                           \
    } while (0)

static void texts_are_those_of_printf(void)
{
    char expected[4096];
    SAME("%d %d %d %i", 0, -1, 2147483647, -2147483647 - 1);
    SAME("%u %x %c%c%%", 4294967295u, 0xdeadbeefu, 'a', 'b');
    SAME("%ld %lu %lx", -9L, 4000000000ul, 255ul);
    SAME("%lld %llu %llx", -9223372036854775807ll - 1, 18446744073709551615ull, 0xfedcba9876543210ull);
    SAME("%zu %zd|%s|%s|", (size_t)7, (ssize_t)-7, "", "text");
    SAME("%5d|%-5d|%05d|%+d|%.3s|%*d|%#x", 1, 2, 3, 4, "abcdef", 4, 5, 6u);
    SAME("%p %f %e %hhd %jd", (void *)path, 1.5, 2.5, 300, (intmax_t)-1);
    SAME("no argument %s", "ends with%");
    SAME("%1019s|%d", "exactly the quick way's end", 7);
    SAME("%s%d", "", 12345);
}

static void levels_and_arguments(void)
{
    errno = 4711;
    MUST(msf_log_write(DBG_INFO, NULL, "f", "f", 1, "x") == -1 && errno == 4711);
    MUST(msf_log_write(DBG_INFO, "TEST", "f", "f", 1, (const s8 *)NULL) == -1 && errno == 4711);
    MUST(msf_log_write(DBG_INFO, "TEST", NULL, NULL, 1, "no place") == 0);
    MUST(TEST_LOG(99, "far above") == 0 && TEST_LOG(-5, "far below") == 0);
    MUST(strstr(content(path), "[INFO][levels_and_arguments") != NULL);
    MUST(strstr(text, "[FATAL][levels_and_arguments") != NULL);
    MUST(msf_log_level(5) == -1 && errno == EINVAL);
    MUST(msf_log_level(DBG_WARN) == 0);
    MUST(TEST_LOG(DBG_INFO, "not wanted") == 0);
    MUST(strstr(content(path), "not wanted") == NULL);
    MUST(msf_log_level(DBG_INFO) == 0);
    errno = 0;
    MUST(msf_log_limit(4095, 5) == -1 && errno == EINVAL);
    MUST(msf_log_limit(4096, 100) == -1 && msf_log_limit(4096, 5) == 0 && msf_log_limit(10 << 20, 5) == 0);
}

static void stderr_gets_all_but_info(void)
{
    char copy[300];
    int kept = dup(2);
    FILE *file;
    snprintf(copy, sizeof copy, "%s/stderr", folder);
    file = fopen(copy, "w");
    MUST(file != NULL && kept >= 0 && dup2(fileno(file), 2) == 2);
    TEST_LOG(DBG_DEBUG, "copied");
    TEST_LOG(DBG_INFO, "not copied");
    dup2(kept, 2);
    fclose(file);
    close(kept);
    MUST(lines(content(copy)) == 1 && strstr(text, "] copied[pid:") != NULL);
    MUST(strstr(content(path), "] not copied[pid:") != NULL);
    unlink(copy);
}

static void renamed_by_somebody_else(void)
{
    char moved[300];
    snprintf(moved, sizeof moved, "%s.moved", path);
    MUST(rename(path, moved) == 0);
    MUST(TEST_LOG(DBG_INFO, "in the new file") == 0); /* noticed without being told */
    MUST(lines(content(path)) == 1 && strstr(text, "in the new file") != NULL);
    MUST(rename(path, moved) == 0 && msf_log_reopen() == 0);
    MUST(access(path, F_OK) == 0);
    MUST(msf_log_init(path) == 0 && TEST_LOG(DBG_INFO, "again") == 0 && lines(content(path)) == 1);
    unlink(moved);
}

/* Daemons used to close every descriptor, and what they open next gets the log's numbers. */
static void descriptors_taken_away(void)
{
    char stranger[300];
    int fd, taken[8], i, before = lines(content(path));
    snprintf(stranger, sizeof stranger, "%s/stranger", folder);
    for (fd = 3; fd < 64; fd++) {
        close(fd);
    }
    MUST(TEST_LOG(DBG_INFO, "with descriptors of its own again") == 0);
    for (fd = 3; fd < 64; fd++) {
        close(fd);
    }
    for (i = 0; i < 8; i++) {
        taken[i] = open(stranger, O_CREAT | O_RDWR | O_APPEND, 0600);
        MUST(taken[i] >= 3);
    }
    MUST(TEST_LOG(DBG_INFO, "not into the stranger's file") == 0);
    MUST(lines(content(path)) == before + 2 && lines(content(stranger)) == 0);
    for (i = 0; i < 8; i++) {
        MUST(close(taken[i]) == 0);
    }
    unlink(stranger);
}

int main(void)
{
    char inner[300];
    MUST(mkdtemp(folder) != NULL);
    snprintf(path, sizeof path, "%s/a/b/x.log", folder);
    before_it_is_open();
    MUST(msf_log_init(path) == 0);
    MUST(msf_log_init_default("other") == 0); /* one is open: nothing happens */
    the_format();
    one_record_is_one_line();
    texts_are_those_of_printf();
    levels_and_arguments();
    stderr_gets_all_but_info();
    renamed_by_somebody_else();
    descriptors_taken_away();
    msf_log_free();
    MUST(TEST_LOG(DBG_INFO, "dropped") == 0 && lines(content(path)) == 3);
    unlink(path);
    snprintf(inner, sizeof inner, "%s/a/b", folder);
    MUST(rmdir(inner) == 0);
    snprintf(inner, sizeof inner, "%s/a", folder);
    MUST(rmdir(inner) == 0 && rmdir(folder) == 0);
    return 0;
}
