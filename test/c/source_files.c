/* Changes of files on an event base. */
#define _GNU_SOURCE
#include <check.h>
#include <fcntl.h>
#include <msf_source.h>
#include <stdlib.h>
#include <sys/resource.h>

struct seen {
    s32 wd;
    u32 mask, cookie;
    char name[256];
};

static struct msf_event_base *base;
static struct msf_source *source;
static struct seen seen[64];
static s32 count, free_at = -1;
static char folder[] = "/tmp/msf-test-source-XXXXXX";

static void note(s32 wd, u32 mask, u32 cookie, const s8 *name, void *arg)
{
    struct seen *here = &seen[count % 64];

    (void)arg;
    here->wd = wd;
    here->mask = mask;
    here->cookie = cookie;
    snprintf(here->name, sizeof here->name, "%s", name != NULL ? name : "");
    if (++count == free_at) {
        msf_source_free(source);
        source = NULL;
    }
}

static const char *at(const char *name)
{
    static char path[2][320];
    static int turn;

    turn = !turn;
    snprintf(path[turn], sizeof path[turn], "%s/%s", folder, name);
    return path[turn];
}

static void make(const char *name)
{
    s32 fd = open(at(name), O_CREAT | O_WRONLY, 0600);

    CHECK(fd >= 0);
    close(fd);
}

/* Passes until `wanted` things were told in all; what the kernel has noticed is ready at once. */
static void turn_until(s32 wanted)
{
    while (count < wanted && msf_event_base_wait(base) == 0)
        ;
    CHECK_EQ(count, wanted);
}

static void changes_in_a_folder_are_told_in_order(void)
{
    s32 wd = msf_source_watch(source, folder, IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO);

    CHECK(wd > 0);
    CHECK_EQ(msf_source_watch(source, folder, IN_CREATE | IN_MOVED_FROM | IN_MOVED_TO), wd);
    make("early"); /* before the start */
    CHECK_EQ(msf_source_start(base, source), 0);
    make("a_name_that_is_longer_than_fifteen_bytes");
    CHECK_EQ(rename(at("early"), at("late")), 0);
    turn_until(4);
    CHECK(seen[0].wd == wd && seen[0].mask == IN_CREATE && strcmp(seen[0].name, "early") == 0);
    CHECK(strcmp(seen[1].name, "a_name_that_is_longer_than_fifteen_bytes") == 0);
    CHECK(seen[2].mask == IN_MOVED_FROM && seen[3].mask == IN_MOVED_TO && strcmp(seen[3].name, "late") == 0);
    CHECK(seen[2].cookie != 0 && seen[2].cookie == seen[3].cookie);
    CHECK_EQ(msf_source_unwatch(source, wd), 0);
    make("unseen");
    turn_until(5);
    CHECK(seen[4].wd == wd && (seen[4].mask & IN_IGNORED) && seen[4].name[0] == '\0');
    CHECK_FAILS(msf_source_unwatch(source, wd), EINVAL);
}

static void file_that_is_replaced_is_another_one(void)
{
    s32 wd, next;

    count = 0;
    wd = msf_source_watch(source, at("late"), IN_MODIFY | IN_DELETE_SELF | IN_ATTRIB);
    CHECK(wd > 0);
    CHECK_EQ(rename(at("unseen"), at("late")), 0); /* as editors and package managers do */
    turn_until(3);
    CHECK(seen[0].mask == IN_ATTRIB && seen[1].mask == IN_DELETE_SELF && seen[2].mask == IN_IGNORED);
    CHECK_EQ(seen[2].wd, wd);
    next = msf_source_watch(source, at("late"), IN_MODIFY);
    CHECK(next > 0 && next != wd);
    CHECK_EQ(truncate(at("late"), 10), 0);
    turn_until(4);
    CHECK(seen[3].wd == next && seen[3].mask == IN_MODIFY);
    CHECK_EQ(msf_source_unwatch(source, next), 0);
    turn_until(5);
}

static void full_queue_is_told(void)
{
    FILE *limit = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
    s32 most = 0, wd;

    if (limit == NULL || fscanf(limit, "%d", &most) != 1)
        most = 16384;
    if (limit != NULL)
        fclose(limit);
    count = 0;
    wd = msf_source_watch(source, folder, IN_ATTRIB);
    for (s32 i = 0; i < most + 10; i++) /* two files in turn: equal changes in a row are one */
        CHECK_EQ(chmod(at(i % 2 ? "late" : "a_name_that_is_longer_than_fifteen_bytes"), 0600), 0);
    turn_until(most + 1);
    CHECK(seen[most % 64].mask == IN_Q_OVERFLOW && seen[most % 64].wd == -1);
    CHECK_EQ(msf_source_unwatch(source, wd), 0);
    turn_until(most + 2);
}

static void callback_may_free_its_source_with_changes_behind_it(void)
{
    count = 0;
    free_at = 2;
    CHECK(msf_source_watch(source, folder, IN_CREATE) > 0);
    make("one");
    make("two");
    make("three");
    turn_until(2);
    CHECK(source == NULL);
    msf_event_base_signal(base);
    CHECK_EQ(msf_event_base_wait(base), 0);
    CHECK_EQ(count, 2);
}

static void arguments_are_checked(void)
{
    struct rlimit before, none;

    CHECK_NULL(msf_source_new_inotify(NULL, NULL), EINVAL);
    CHECK_FAILS(msf_source_watch(NULL, folder, IN_CREATE), EINVAL);
    CHECK_FAILS(msf_source_watch(source, NULL, IN_CREATE), EINVAL);
    CHECK_FAILS(msf_source_watch(source, folder, 0), EINVAL);
    CHECK_FAILS(msf_source_watch(source, at("no_such_file"), IN_CREATE), ENOENT);
    CHECK_FAILS(msf_source_unwatch(NULL, 1), EINVAL);
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 3;
    setrlimit(RLIMIT_NOFILE, &none);
    CHECK_NULL(msf_source_new_inotify(note, NULL), EMFILE);
    setrlimit(RLIMIT_NOFILE, &before);
}

int main(void)
{
    static const char *const left[] = { "late", "a_name_that_is_longer_than_fifteen_bytes", "one", "two", "three" };

    CHECK(mkdtemp(folder) != NULL);
    base = msf_event_base_new();
    source = msf_source_new_inotify(note, NULL);
    arguments_are_checked();
    changes_in_a_folder_are_told_in_order();
    file_that_is_replaced_is_another_one();
    full_queue_is_told();
    callback_may_free_its_source_with_changes_behind_it();
    msf_event_base_free(base);
    for (u32 i = 0; i < sizeof left / sizeof left[0]; i++)
        unlink(at(left[i]));
    CHECK_EQ(rmdir(folder), 0);
    return check_verdict();
}
