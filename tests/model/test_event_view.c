#include <string.h>

#include "check.h"
#include "codec/json.h"
#include "fault.h"
#include "model/event.h"
#include "vectors.h"

static struct tl_arena arena;

static void check_str(struct tl_str got, const char *want)
{
    if (want == NULL ? got.text != NULL : !tl_str_is(got, want)) {
        fail_msg("'%.*s', want '%s'", (int)got.len, got.text, want == NULL ? "nothing" : want);
    }
}

static struct tl_str worked_example(void)
{
    struct tl_str file = vectors_read(&arena, "interop-example.json");
    const struct tl_json *root = NULL;
    check_ok(tl_json_read(&arena, file.text, file.len, &tl_json_limits_format, &root, NULL));
    return vectors_text(root, "canonical");
}

static void reads_every_member_of_the_worked_example(void **state)
{
    (void)state;
    struct tl_str text = worked_example();
    struct tl_event_view view;
    check_ok(tl_event_view_read(&view, &arena, text.text, text.len));
    const struct {
        struct tl_str got;
        const char *want;
    } table[] = {
        { view.id, "019cebab-8995-7cb0-91a2-b3c4d5e6f708" },
        { view.action, "user.role.update" },
        { view.outcome, "success" },
        { view.severity, "high" },
        { view.reason, "ticket OPS-7 [approved=\"yes\"] a|b \\ c" },
        { view.occurred_at, "2026-03-14T09:26:53.589793Z" },
        { view.started_at, "2026-03-14T09:26:53.500000Z" },
        { view.ended_at, "2026-03-14T09:26:53.589793Z" },
        { view.actor_id, "user-42" },
        { view.actor_type, "user" },
        { view.actor_name, "Zo\u00eb Example" },
        { view.service, "accounts" },
        { view.host, "app-1.example.com" },
        { view.ip, "192.0.2.7" },
        { view.user_agent, "curl/8.5.0" },
        { view.transport, "http" },
        { view.tenant_id, "tenant-acme" },
        { view.correlation_id, "corr-7f3a" },
        { view.causation_id, "cmd-0192" },
        { view.trace_id, "4bf92f3577b34da6a3ce929d0e0e4736" },
        { view.span_id, "00f067aa0ba902b7" },
        { view.request_id, "req-9d1c" },
        { view.session_id, "sess-51" },
        { view.targets[0].type, "User" },
        { view.targets[0].id, "user-99" },
        { view.targets[0].name, "sam@example.com" },
        { view.targets[1].type, "Role" },
        { view.targets[1].id, "role-admin" },
        { view.targets[1].name, NULL },
        { view.tags[0], "admin" },
        { view.tags[1], "pci" },
        { view.tags_json, "[\"admin\",\"pci\"]" },
        { view.old_values_json, "{\"role\":\"member\"}" },
        { view.new_values_json, "{\"role\":\"admin\"}" },
        { view.request_json,
          "{\"body_bytes\":16,\"method\":\"PATCH\",\"path\":\"/api/users/user-99\"}" },
        { view.response_json, "{\"status\":200}" },
        { view.metadata_json, "{\"attempt\":1,\"changed_field\":\"role\"}" },
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(table); i++) {
        check_str(table[i].got, table[i].want);
    }
    assert_int_equal(view.occurred_us, INT64_C(1773480413589793));
    assert_int_equal(view.target_count, 2);
    assert_int_equal(view.tag_count, 2);
}

static void reads_the_keys_of_the_worked_example(void **state)
{
    (void)state;
    struct tl_str text = worked_example();
    struct tl_event_keys keys;
    check_ok(tl_event_keys_read(&keys, text.text, text.len));
    check_str(keys.id, "019cebab-8995-7cb0-91a2-b3c4d5e6f708");
    check_str(keys.action, "user.role.update");
    check_str(keys.severity, "high");
    check_str(keys.tenant_id, "tenant-acme");
    check_str(keys.service, "accounts");
    check_str(keys.occurred_at, "2026-03-14T09:26:53.589793Z");
}

static void takes_members_of_other_types_as_absent(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "{\"action\":1,\"actor\":[],\"id\":null,\"occurred_at\":\"x\",\"severity\":{},\"source\":"
        "\"s\","
        "\"tags\":{},\"targets\":7,\"tenant_id\":[1],\"zoo\":1}",
        "{\"actor\":{},\"source\":{},\"tags\":[],\"targets\":[]}",
    };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        struct tl_event_view view;
        struct tl_event_keys keys;
        check_ok(tl_event_view_read(&view, &arena, texts[i], strlen(texts[i])));
        check_str(view.action, NULL);
        check_str(view.actor_id, NULL);
        check_str(view.occurred_at, NULL);
        check_str(view.service, NULL);
        assert_int_equal(view.target_count + view.tag_count, 0);
        check_ok(tl_event_keys_read(&keys, texts[i], strlen(texts[i])));
        check_str(keys.action, NULL);
        check_str(keys.service, NULL);
        check_str(keys.tenant_id, NULL);
    }
}

static void reads_odd_arrays_without_losing_its_way(void **state)
{
    (void)state;
    static const char text[] = "{\"tags\":[1,[\"a\",\"]\"],\"b\\\"]\",{\"c\":\"}\"},\"d\"],"
                               "\"targets\":[null,{\"id\":\"x\",\"type\":{}},[]]}";
    struct tl_event_view view;
    check_ok(tl_event_view_read(&view, &arena, text, sizeof(text) - 1));
    assert_int_equal(view.tag_count, 2);
    check_str(view.tags[0], "b\"]");
    check_str(view.tags[1], "d");
    assert_int_equal(view.target_count, 3);
    check_str(view.targets[0].id, NULL);
    check_str(view.targets[1].id, "x");
}

static void refuses_every_cut_of_an_event(void **state)
{
    (void)state;
    struct tl_str text = worked_example();
    for (size_t len = 0; len < text.len; len++) {
        struct tl_event_view view;
        check_status(tl_event_view_read(&view, &arena, text.text, len), TALLY_ECORRUPT);
    }
}

static void ranks_severities(void **state)
{
    (void)state;
    assert_int_equal(tl_severity_rank(TL_STR("low")), 1);
    assert_int_equal(tl_severity_rank(TL_STR("medium")), 2);
    assert_int_equal(tl_severity_rank(TL_STR("high")), 3);
    assert_int_equal(tl_severity_rank(TL_STR("critical")), 4);
    assert_int_equal(tl_severity_rank(TL_STR("High")), 0);
    assert_int_equal(tl_severity_rank((struct tl_str){ 0 }), 0);
}

static tally_status read_escaped(const void *ctx)
{
    struct tl_arena local;
    struct tl_event_view view;
    tl_arena_init(&local, 1 << 16);
    tally_status status = tl_event_view_read(&view, &local, ctx, strlen(ctx));
    tl_arena_release(&local);
    return status;
}

static void gives_out_of_memory_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(fault_each_alloc(read_escaped, "{\"reason\":\"a\\nb\"}"), 1);
}

static int open_arena(void **state)
{
    (void)state;
    tl_arena_init(&arena, VECTORS_ARENA_BYTES);
    return 0;
}

static int close_arena(void **state)
{
    (void)state;
    tl_arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_member_of_the_worked_example),
        cmocka_unit_test(reads_the_keys_of_the_worked_example),
        cmocka_unit_test(takes_members_of_other_types_as_absent),
        cmocka_unit_test(reads_odd_arrays_without_losing_its_way),
        cmocka_unit_test(refuses_every_cut_of_an_event),
        cmocka_unit_test(ranks_severities),
        cmocka_unit_test(gives_out_of_memory_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
