#include <string.h>

#include "check.h"
#include "codec/base64.h"

/* RFC 4648 section 10, and the two letters that differ from the URL alphabet. */
static const struct {
    const char *text;
    size_t len;
    const char *bytes;
} vectors[] = {
    { "", 0, "" },           { "Zg==", 1, "f" },          { "Zm8=", 2, "fo" },
    { "Zm9v", 3, "foo" },    { "Zm9vYg==", 4, "foob" },   { "Zm9vYmE=", 5, "fooba" },
    { "AAAA", 3, "\0\0\0" }, { "Zm9vYmFy", 6, "foobar" }, { "+/+/", 3, "\xFB\xFF\xBF" },
};

static void encodes_the_vectors_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(vectors); i++) {
        struct tl_buf buf = { 0 };
        tl_buf_init(&buf, 100);
        tl_base64_encode(&buf, (const uint8_t *)vectors[i].bytes, vectors[i].len);
        check_ok(tl_buf_status(&buf));
        assert_true(tl_str_is(tl_buf_str(&buf), vectors[i].text));
        tl_buf_release(&buf);
    }
}

static void decodes_the_vectors_of_the_rfc(void **state)
{
    (void)state;
    for (size_t i = 0; i < TL_ARRAY_LEN(vectors); i++) {
        uint8_t out[8];
        size_t len = 99;
        size_t text_len = strlen(vectors[i].text);
        assert_true(tl_base64_decoded_len_max(text_len) >= vectors[i].len);
        check_ok(tl_base64_decode(out, vectors[i].len, &len, vectors[i].text, text_len));
        assert_int_equal(len, vectors[i].len);
        assert_memory_equal(out, vectors[i].bytes, len);
    }
}

static void refuses_every_other_spelling(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "Z",    "Zg",    "Zg=",      "Zh==", "Zm9=",      "Zg==\n",   "Zm 9v", "Zm9v====",
        "====", "=Zm9",  "Zg==Zg==", "Z===", "Zm9-",      "Zm9_",     "Zm9.",  "Zm\xC3\xA9",
        "Z=g=", "Zm9v ", " Zm9v",    "Zn==", "Zm9vYmF=A", "Zm9=YmFy",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        uint8_t out[16];
        size_t len = 99;
        check_status(tl_base64_decode(out, sizeof(out), &len, texts[i], strlen(texts[i])),
                     TALLY_EINVAL);
        assert_int_equal(len, 99);
    }
}

static void refuses_what_does_not_fit(void **state)
{
    (void)state;
    uint8_t out[2];
    size_t len = 99;
    check_status(tl_base64_decode(out, 2, &len, "Zm9v", 4), TALLY_ELIMIT);
    assert_int_equal(len, 99);

    struct tl_buf buf = { 0 };
    tl_buf_init(&buf, 7);
    tl_base64_encode(&buf, (const uint8_t *)"foob", 4);
    check_status(tl_buf_status(&buf), TALLY_ELIMIT);
    tl_buf_release(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encodes_the_vectors_of_the_rfc),
        cmocka_unit_test(decodes_the_vectors_of_the_rfc),
        cmocka_unit_test(refuses_every_other_spelling),
        cmocka_unit_test(refuses_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
