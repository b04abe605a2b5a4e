/* A service with few slots, as services have: init counts, get_param tells. */
#include <msf_log.h>
#include <msf_svc.h>

static s32 inits;

static s32 one_init(void *data, u32 len)
{
    inits++;
    msf_log_write(DBG_INFO, "ONE", MSF_FUNC_FILE_LINE, "init %p %u", data, len);
    return data == NULL && len == 0 ? 0 : -1;
}

static s32 one_get_param(void *data, u32 len)
{
    if (len != sizeof(inits))
        return -1;
    memcpy(data, &inits, sizeof(inits));
    return 0;
}

MSF_EXPORT struct msf_svc seed_one = {
    .init = one_init,
    .get_param = one_get_param,
};
