/* Digests, codes and checks against the vectors of their standards, whole and in pieces. */
#include <check.h>
#include <msf_crc.h>
#include <msf_crypto.h>
#include <msf_md5.h>
#include <msf_sha1.h>
#include <stdlib.h>

static const char *const TEXT = "message digest";

/* What was computed, as the standards print it. */
static int is(const u8 *bytes, size_t count, const char *hex)
{
    char shown[2 * MSF_SHA256_BYTES + 1];

    for (size_t i = 0; i < count; i++)
        snprintf(shown + 2 * i, 3, "%02x", bytes[i]);
    if (strcmp(shown, hex) != 0)
        fprintf(stderr, "%s, not %s\n", shown, hex);
    return strcmp(shown, hex) == 0;
}

static int all_zero(const void *memory, size_t size)
{
    const u8 *byte = memory;

    while (size > 0 && byte[size - 1] == 0)
        size--;
    return size == 0;
}

static void md5_of_rfc_1321(void)
{
    struct md5_ctx ctx, before;
    u8 out[MD5_DIGEST_BYTES] = { 0 };

    CHECK_EQ(sizeof ctx, 88);
    CHECK_EQ(sizeof ctx.block, MD5_BLOCK_BYTES);
    for (size_t cut = 0; cut <= strlen(TEXT); cut++) {
        md5_init(&ctx);
        md5_update(&ctx, TEXT, cut);
        md5_update(&ctx, TEXT + cut, strlen(TEXT) - cut);
        CHECK_EQ(ctx.count, strlen(TEXT));
        md5_final(&ctx, out);
        CHECK(is(out, sizeof out, "f96b697d7cb7938d525a2f31aaf161d0"));
        CHECK(all_zero(&ctx, sizeof ctx));
    }
    md5_init(&ctx);
    md5_update(&ctx, NULL, 0);
    before = ctx;
    md5_update(&ctx, NULL, 1);
    md5_final(&ctx, NULL);
    CHECK(memcmp(&before, &ctx, sizeof ctx) == 0);
    md5_final(&ctx, out);
    CHECK(is(out, sizeof out, "d41d8cd98f00b204e9800998ecf8427e"));
    md5_init(NULL);
    md5_update(NULL, TEXT, 1);
    md5_final(NULL, out);
}

static void sha1_of_rfc_3174(void)
{
    struct sha1_ctx ctx, before;
    u8 out[SHA1_DIGEST_BYTES] = { 0 };

    CHECK_EQ(sizeof ctx, 96);
    CHECK_EQ(sizeof ctx.block, SHA1_BLOCK_BYTES);
    sha1_init(&ctx);
    for (int i = 0; i < 80; i++)
        sha1_update(&ctx, "01234567", 8);
    sha1_final(&ctx, out);
    CHECK(is(out, sizeof out, "dea356a2cddd90c7a7ecedc5ebb563934f460452"));
    CHECK(all_zero(ctx.digest, sizeof ctx.digest) && all_zero(ctx.block, sizeof ctx.block) && ctx.count == 0);
    sha1_init(&ctx);
    sha1_update(&ctx, "ab", 2);
    sha1_update(&ctx, "c", 1);
    memset(&before, 0, sizeof before);
    before.count = ctx.count;
    sha1_update(&ctx, NULL, 1);
    sha1_final(&ctx, NULL);
    CHECK_EQ(ctx.count, before.count);
    sha1_final(&ctx, out);
    CHECK(is(out, sizeof out, "a9993e364706816aba3e25717850c26c9cd0d89d"));
    sha1_init(NULL);
    sha1_update(NULL, TEXT, 1);
    sha1_final(NULL, out);
}

static void crcs_of_their_catalogue(void)
{
    const u8 *digits = (const u8 *)"123456789";
    const uint64_t jones = (uint64_t)0xe9c6d914u << 32 | 0xc4b8d9cau;

    CHECK_EQ(msf_compute_crc(digits, 9), 0xcbf43926u);
    CHECK_EQ(msf_compute_crc(digits, 0), 0);
    CHECK_EQ(msf_compute_crc(NULL, 9), 0);
    CHECK(crc64(0, digits, 9) == jones);
    for (uint64_t cut = 0; cut <= 9; cut++)
        CHECK(crc64(crc64(0, digits, cut), digits + cut, 9 - cut) == jones);
    CHECK_EQ(crc64(7, NULL, 9), 7);
    CHECK_EQ(crc64(7, digits, (uint64_t)-1), 7);
}

static void sha256_of_fips_180(void)
{
    u8 out[MSF_SHA256_BYTES];

    CHECK_EQ(msf_sha256("abc", 3, out), 0);
    CHECK(is(out, sizeof out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CHECK_EQ(msf_sha256(NULL, 0, out), 0);
    CHECK(is(out, sizeof out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    CHECK_FAILS(msf_sha256(NULL, 1, out), EINVAL);
    CHECK_FAILS(msf_sha256("abc", 3, NULL), EINVAL);
}

static void hmac_of_rfc_4231_and_2202(void)
{
    const char *what = "what do ya want for nothing?";
    u8 out[MSF_HMAC_SHA256_BYTES], key[131];

    CHECK_EQ(msf_hmac_sha256("Jefe", 4, what, strlen(what), out), 0);
    CHECK(is(out, sizeof out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    memset(key, 0xaa, sizeof key);
    what = "Test Using Larger Than Block-Size Key - Hash Key First";
    CHECK_EQ(msf_hmac_sha256(key, sizeof key, what, strlen(what), out), 0);
    CHECK(is(out, sizeof out, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
    CHECK_FAILS(msf_hmac_sha256(NULL, 4, what, 1, out), EINVAL);
    CHECK_FAILS(msf_hmac_sha256(key, 4, NULL, 1, out), EINVAL);
    CHECK_FAILS(msf_hmac_sha256(key, 4, what, 1, NULL), EINVAL);
    what = "what do ya want for nothing?";
    CHECK_EQ(msf_hmac_sha1("Jefe", 4, what, strlen(what), out), 0);
    CHECK(is(out, MSF_HMAC_SHA1_BYTES, "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79"));
    CHECK_EQ(msf_hmac_sha1(NULL, 0, NULL, 0, out), 0);
    CHECK(is(out, MSF_HMAC_SHA1_BYTES, "fbdb1d1b18aa6c08324b7d64b71fb76370690e1d"));
    CHECK_FAILS(msf_hmac_sha1(NULL, 4, what, 1, out), EINVAL);
}

static void pieces_make_the_digest_of_the_whole(void)
{
    struct { s32 kind; const char *key; s32 bytes; } kinds[] = {
        { MSF_DIGEST_SHA256, NULL, MSF_SHA256_BYTES },
        { MSF_DIGEST_HMAC_SHA256, "Jefe", MSF_HMAC_SHA256_BYTES },
        { MSF_DIGEST_HMAC_SHA1, "Jefe", MSF_HMAC_SHA1_BYTES },
    };
    u8 message[1000], whole[MSF_SHA256_BYTES], out[MSF_SHA256_BYTES + 1];

    for (size_t i = 0; i < sizeof message; i++)
        message[i] = (u8)(i * 7);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t key_len = kinds[i].key != NULL ? strlen(kinds[i].key) : 0;
        struct msf_digest *digest = msf_digest_new(kinds[i].kind, kinds[i].key, key_len);

        CHECK(digest != NULL);
        if (kinds[i].kind == MSF_DIGEST_SHA256)
            CHECK_EQ(msf_sha256(message, sizeof message, whole), 0);
        else if (kinds[i].kind == MSF_DIGEST_HMAC_SHA256)
            CHECK_EQ(msf_hmac_sha256(kinds[i].key, key_len, message, sizeof message, whole), 0);
        else
            CHECK_EQ(msf_hmac_sha1(kinds[i].key, key_len, message, sizeof message, whole), 0);
        for (size_t step = 1; step < 200; step += 33) { /* a digest begins anew after its end */
            for (size_t at = 0; at < sizeof message; at += step)
                CHECK_EQ(msf_digest_update(digest, message + at, at + step > sizeof message ? sizeof message - at : step), 0);
            CHECK_FAILS(msf_digest_update(digest, NULL, 1), EINVAL);
            CHECK_FAILS(msf_digest_final(digest, out, (size_t)kinds[i].bytes - 1), ENOSPC);
            CHECK_FAILS(msf_digest_final(digest, NULL, sizeof out), EINVAL);
            CHECK_EQ(msf_digest_final(digest, out, sizeof out), kinds[i].bytes);
            CHECK_EQ(msf_crypto_equal(out, whole, (size_t)kinds[i].bytes), 1);
        }
        msf_digest_free(digest);
    }
    CHECK_NULL(msf_digest_new(0, NULL, 0), EINVAL);
    CHECK_NULL(msf_digest_new(99, "key", 3), EINVAL);
    CHECK_NULL(msf_digest_new(MSF_DIGEST_SHA256, "key", 3), EINVAL);
    CHECK_NULL(msf_digest_new(MSF_DIGEST_HMAC_SHA256, NULL, 3), EINVAL);
    CHECK_FAILS(msf_digest_update(NULL, "x", 1), EINVAL);
    CHECK_FAILS(msf_digest_final(NULL, out, sizeof out), EINVAL);
    msf_digest_free(NULL);
}

static void equal_sees_every_byte(void)
{
    u8 one[32] = { 0 }, other[32] = { 0 };

    CHECK_EQ(msf_crypto_equal(one, other, sizeof one), 1);
    CHECK_EQ(msf_crypto_equal(NULL, NULL, 0), 1);
    for (size_t i = 0; i < sizeof one; i++) {
        other[i] = 0x80;
        CHECK_EQ(msf_crypto_equal(one, other, sizeof one), 0);
        other[i] = 0;
    }
    CHECK_FAILS(msf_crypto_equal(NULL, other, 1), EINVAL);
    CHECK_FAILS(msf_crypto_equal(one, NULL, 1), EINVAL);
}

int main(void)
{
    md5_of_rfc_1321();
    sha1_of_rfc_3174();
    crcs_of_their_catalogue();
    sha256_of_fips_180();
    hmac_of_rfc_4231_and_2202();
    pieces_make_the_digest_of_the_whole();
    equal_sees_every_byte();
    return check_verdict();
}
