/* URLs; what is done with servers is in tests/cli/test_anchor.py. */
#include "check.h"
#include "fault.h"
#include "project/http.h"

static void names_the_host_that_is_connected_to(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
    } rows[] = {
        { "https://Example.ORG", "example.org" },
        { "https://example.org:8443/a?b=c", "example.org:8443" },
        { "https://10.0.0.1/", "10.0.0.1" },
        { "https://[2001:db8::1]:44/", "[2001:db8::1]:44" },
        { "http://127.0.0.1:80/x", "127.0.0.1:80" },
        { "http://[::1]/", "[::1]" },
        { "http://localhost:8080/", "localhost:8080" },
        { "http://2130706433/", "127.0.0.1" },
        { "http://0x7f.0.0.1/", "127.0.0.1" },
        { "http://017700000001/", "127.0.0.1" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(rows); i++) {
        char host[TL_HTTP_HOST_MAX];
        check_ok(tl_http_host(host, rows[i].url, NULL));
        assert_string_equal(host, rows[i].host);
    }
}

static void takes_no_url_that_means_something_else(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "",
        "example.org",
        "//example.org/",
        "https:example.org",
        "https:/example.org",
        "https://",
        "https:///example.org/",
        "https://\\example.org/",
        "ftp://example.org/",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "dict://127.0.0.1/",
        "http://example.org/",
        "http://10.0.0.1/",
        "http://169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "http://0.0.0.0/",
        "http://[::]/",
        "http://127.0.0.1.example.org/",
        "http://localhost.example.org/",
        "http://localhost./",
        "http://127.0.0.1@example.org/",
        "https://user@example.org/",
        "https://user:secret@example.org/",
        "https://:secret@example.org/",
        "https://example.org/#part",
        "https://example.org/ x",
        "https://example.org/\r\nHost: other",
        "https://exam ple.org/",
        "https://example.org:99999/",
        "https://example.org:x/",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(urls); i++) {
        char host[TL_HTTP_HOST_MAX];
        print_message("# URL %zu\n", i);
        check_status(tl_http_host(host, urls[i], NULL), TALLY_EINVAL);
        const struct tl_http_request request = {
            .url = urls[i], .content_type = "text/plain", .body = TL_STR("x"), .timeout_ms = 1000
        };
        struct tl_http_answer answer = { 0 };
        check_status(tl_http_post(&request, &answer, NULL), TALLY_EINVAL);
        tl_http_answer_release(&answer);
    }
}

/* "localtest" names would need a resolver: addresses under another spelling will do. */
static void does_not_connect_where_nobody_can_have_meant(void **state)
{
    (void)state;
    static const char *const urls[] = { "https://0.0.0.0:1/", "https://224.0.0.1:1/",
                                        "https://[::]:1/", "https://[ff02::1]:1/",
                                        "https://255.255.255.255:1/" };
    for (size_t i = 0; i < TL_ARRAY_LEN(urls); i++) {
        const struct tl_http_request request = {
            .url = urls[i], .content_type = "text/plain", .body = TL_STR("x"), .timeout_ms = 1000
        };
        struct tl_http_answer answer = { 0 };
        check_status(tl_http_post(&request, &answer, NULL), TALLY_EDENIED);
        tl_http_answer_release(&answer);
    }
}

static tally_status post_to_nobody(const void *ctx)
{
    const struct tl_http_request request = { .url = ctx,
                                             .content_type = "text/plain",
                                             .body = TL_STR("x"),
                                             .authorization = "Bearer abc",
                                             .timeout_ms = 1000 };
    struct tl_http_answer answer = { 0 };
    tally_status status = tl_http_post(&request, &answer, NULL);
    tl_http_answer_release(&answer);
    return status == TALLY_EIO ? TALLY_OK : status;
}

static void says_so_if_there_is_no_memory(void **state)
{
    (void)state;
    assert_true(fault_each_alloc(post_to_nobody, "http://127.0.0.1:1/") > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_the_host_that_is_connected_to),
        cmocka_unit_test(takes_no_url_that_means_something_else),
        cmocka_unit_test(does_not_connect_where_nobody_can_have_meant),
        cmocka_unit_test(says_so_if_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
