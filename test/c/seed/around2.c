/* Around snippet 2: three services in the program itself, most of their slots NULL; and one of a library among them. */
#include <check.h>
#include <msf_svc.h>

int snippet(void);
extern struct msf_svc *mobile_module[];

static char calls[64];
static s32 usb_answer;

static s32 called(const char *what, s32 answer)
{
    strncat(calls, what, sizeof(calls) - strlen(calls) - 1);
    return answer;
}

static s32 usb_init(void *data, u32 len) { return called(data || len ? "?" : "ui ", usb_answer); }
static s32 usb_start(void *data, u32 len) { return called(data || len ? "?" : "us ", 7); }
static s32 usb_get(void *data, u32 len) { return called(data && len == sizeof(int) ? "ug " : "?", 0); }
static s32 dial_init(void *data, u32 len) { return called(data && len == sizeof(int) ? "di " : "?", 0); }
static s32 dial_start(void *data, u32 len) { return called(data || len ? "?" : "ds ", 0); }
static s32 dial_get(void *data, u32 len) { return called(data && len == sizeof(int) ? "dg " : "?", 0); }

struct msf_svc mobile_usb = { .init = usb_init, .start = usb_start, .get_param = usb_get };
struct msf_svc mobile_dial = { .init = dial_init, .start = dial_start, .get_param = dial_get };
msf_module mobile_sms = { .init = NULL };

/* Whoever walks the table cannot tell where a service is from. */
static void one_of_a_library_among_them(void)
{
    static struct svcinst loaded = { .svc_name = "seed_one" };
    struct msf_svc *all[] = { mobile_module[0], NULL, mobile_module[1], NULL };
    s32 at, inits = -1, usb = 0;
    int length = snprintf(loaded.svc_lib, sizeof(loaded.svc_lib), "%s/libseed_one.so", getenv("MSF_TEST_PLUGINS"));

    CHECK(length > 0 && (size_t)length < sizeof(loaded.svc_lib));
    CHECK_EQ(msf_svcinst_init(&loaded), 0);
    all[1] = loaded.svc_cb;
    calls[0] = '\0';
    usb_answer = 0;
    CHECK(all[0]->init(NULL, 0) == 0 && all[1]->init(NULL, 0) == 0 && all[2]->init(&usb, sizeof(usb)) == 0);
    for (at = 0; all[at] != NULL; at++)
        CHECK(MFS_FUNCHK(all[at]->start, NULL, 0) >= 0);
    CHECK_EQ(all[1]->get_param(&inits, sizeof(inits)), 0);
    CHECK_EQ(inits, 1);
    CHECK(strcmp(calls, "ui di us ds ") == 0);
    CHECK_EQ(msf_svcinst_deinit(&loaded), 0);
}

int main(void)
{
    u32 at, offered = 0;

    CHECK_EQ(snippet(), 7);
    CHECK(strcmp(calls, "ui ug us ug di ds dg ") == 0);

    usb_answer = -1;
    calls[0] = '\0';
    CHECK_EQ(snippet(), -1);
    CHECK(strcmp(calls, "ui ug ") == 0);

    for (at = 0; mobile_module[at] != NULL; at++)
        offered += (mobile_module[at]->init != NULL) + (mobile_module[at]->deinit != NULL);
    CHECK_EQ(at, 3);
    CHECK_EQ(offered, 2);
    one_of_a_library_among_them();
    return check_verdict();
}
