/* Base64 in buffers that just fit, and everything that is not base64. */
#include <check.h>
#include <msf_crypto.h>
#include <stdlib.h>

/* On the heap and just as large, so that ASAN sees a byte too much. */
static void there_and_back(const char *data, size_t len, const char *text)
{
    size_t size = MSF_BASE64_ENCODED(len);
    s8 *there = malloc(size);
    u8 *back = malloc(len + 1);

    CHECK_EQ(size, strlen(text) + 1);
    CHECK(MSF_BASE64_DECODED(strlen(text)) >= len);
    CHECK_EQ(msf_base64_encode(data, len, there, size), strlen(text));
    CHECK(strcmp(there, text) == 0);
    CHECK_FAILS(msf_base64_encode(data, len, there, size - 1), ENOSPC);
    CHECK_EQ(msf_base64_decode(text, strlen(text), back, len), len);
    CHECK(memcmp(back, data, len) == 0);
    if (len > 0)
        CHECK_FAILS(msf_base64_decode(text, strlen(text), back, len - 1), ENOSPC);
    free(there);
    free(back);
}

int main(void)
{
    const char *vectors[] = { "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy" };
    const char *wrong[] = { "Z", "Zg", "Zg=", "Zg===", "Zm9v\n", "Zm-_", "Zh==", "=Zm8", "Zm8=Zm8=" };
    volatile size_t nonsense = SIZE_MAX; /* more than any memory */
    u8 out[64];
    s8 text[64];

    for (size_t len = 0; len < sizeof vectors / sizeof *vectors; len++)
        there_and_back("foobar", len, vectors[len]);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_FAILS(msf_base64_decode(wrong[i], strlen(wrong[i]), out, sizeof out), EINVAL);
    CHECK_EQ(msf_base64_decode("Zm9v", 4, out, sizeof out), 3); /* room to spare */
    CHECK_EQ(msf_base64_decode(NULL, 0, NULL, 0), 0);
    CHECK_EQ(msf_base64_encode(NULL, 0, text, 1), 0);
    CHECK_EQ(text[0], 0);
    CHECK_FAILS(msf_base64_encode(NULL, 0, text, 0), ENOSPC);
    CHECK_FAILS(msf_base64_encode(NULL, 1, text, sizeof text), EINVAL);
    CHECK_FAILS(msf_base64_encode("x", 1, NULL, sizeof text), EINVAL);
    CHECK_FAILS(msf_base64_decode(NULL, 4, out, sizeof out), EINVAL);
    CHECK_FAILS(msf_base64_decode("Zm9v", 4, NULL, sizeof out), EINVAL);
    /* In one buffer, in place and beside it. */
    memcpy(text, "foobar", 6);
    CHECK_EQ(msf_base64_encode(text, 6, text, sizeof text), 8);
    CHECK(strcmp(text, "Zm9vYmFy") == 0);
    CHECK_EQ(msf_base64_decode(text, 8, text + 1, sizeof text - 1), 6);
    CHECK(memcmp(text + 1, "foobar", 6) == 0);
    CHECK_EQ(msf_base64_encode(text + 1, 6, text, sizeof text), 8);
    CHECK(strcmp(text, "Zm9vYmFy") == 0);
    CHECK_FAILS(msf_base64_encode("x", nonsense, text, sizeof text), EINVAL);
    nonsense /= 2;
    CHECK_FAILS(msf_base64_encode(text, nonsense, text, sizeof text), ENOSPC);
    nonsense = SIZE_MAX;
    CHECK_FAILS(msf_base64_decode("Zm9v", nonsense, text, sizeof text), EINVAL);
    return check_verdict();
}
