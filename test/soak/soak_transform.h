/* What the soak's services make of a payload: byte i becomes b ^ (cmd + i), so a byte from another call, another place or
 * another command shows. */
#ifndef SOAK_TRANSFORM_H
#define SOAK_TRANSFORM_H

#include <unistd.h>

#include <client.h>

/* Commands between this and the next 255 take some milliseconds, every fourth of them: then there is always somebody who waits
 * when a service dies. */
#define SOAK_SLOWLY 0x536f6100u

static inline s32 soak_transform(s8 *data, u32 len, u32 cmd)
{
    u32 i;

    if ((cmd & ~0xffu) == SOAK_SLOWLY && cmd % 4 == 0)
        usleep(1000 + cmd / 4 % 8 * 1000);
    for (i = 0; i < len; i++)
        data[i] = (s8)((u8)data[i] ^ (u8)(cmd + i));
    return 0;
}

/* The soak's services call nobody. */
static inline s32 soak_ignore_ack(s8 *data, u32 len, u32 cmd)
{
    (void)data;
    (void)len;
    (void)cmd;
    return 0;
}

#endif
