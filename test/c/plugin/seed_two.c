/* A service whose init can be told to fail. */
#include <msf_svc.h>

static s32 answer;

static s32 two_init(void *data, u32 len)
{
    (void)data;
    (void)len;
    return answer;
}

static s32 two_set_param(void *data, u32 len)
{
    if (len != sizeof(answer))
        return -1;
    memcpy(&answer, data, sizeof(answer));
    return 0;
}

MSF_EXPORT struct msf_svc seed_two = {
    .init = two_init,
    .set_param = two_set_param,
};
