#include "ledger/schedule_state.h"

#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "check.h"
#include "fault.h"

static struct tl_schedule_state example(void)
{
    struct tl_schedule_state state = { 0 };
    state.jobs[TL_JOB_VERIFY] = (struct tl_job_state){
        .since_us = INT64_C(1767225600000000),
        .last_us = INT64_C(1767225600123456),
        .took_us = 77,
        .status = TALLY_ECORRUPT,
        .runs = 9,
        .missed = 3,
        .detail = "the verdict is \"TAMPERED\"",
        .verdict = TALLY_VERDICT_TAMPERED,
        .verified_to = 1000,
        .full_pass_us = INT64_C(1767225500000000),
    };
    return state;
}

static void keeps_what_was_written(void **state)
{
    const char *dir = *state;
    struct tl_schedule_state out = example();
    struct tl_schedule_state in;
    check_ok(tl_schedule_state_put(TL_JOB_VERIFY, &out.jobs[TL_JOB_VERIFY], dir, NULL));
    check_ok(tl_schedule_state_load(&in, dir, NULL));
    const struct tl_job_state *a = &out.jobs[TL_JOB_VERIFY];
    const struct tl_job_state *b = &in.jobs[TL_JOB_VERIFY];
    assert_int_equal(a->since_us, b->since_us);
    assert_int_equal(a->last_us, b->last_us);
    assert_int_equal(a->took_us, b->took_us);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->runs, b->runs);
    assert_int_equal(a->missed, b->missed);
    assert_string_equal(a->detail, b->detail);
    assert_int_equal(a->verdict, b->verdict);
    assert_int_equal(a->verified_to, b->verified_to);
    assert_int_equal(a->full_pass_us, b->full_pass_us);
    assert_int_equal(in.jobs[TL_JOB_PURGE].runs, 0);
}

static void takes_a_file_that_is_not_there_for_an_empty_one(void **state)
{
    struct tl_schedule_state in = example();
    check_ok(tl_schedule_state_load(&in, *state, NULL));
    assert_int_equal(in.jobs[TL_JOB_VERIFY].runs, 0);
}

static void says_that_a_file_is_damaged(void **state)
{
    const char *dir = *state;
    char path[512];
    check_path(path, sizeof(path), dir, "schedule.json");
    static const char *const texts[] = { "", "{}", "[]", "{\"verify\":1}", "\xff" };
    for (size_t i = 0; i < TL_ARRAY_LEN(texts); i++) {
        struct tl_schedule_state in = example();
        check_ok(tl_io_replace_file(path, texts[i], strlen(texts[i]), 0600, NULL));
        check_status(tl_schedule_state_load(&in, dir, NULL), TALLY_ECORRUPT);
        assert_int_equal(in.jobs[TL_JOB_VERIFY].runs, 0);
    }
    const struct tl_schedule_state out = example();
    check_ok(tl_schedule_state_put(TL_JOB_VERIFY, &out.jobs[TL_JOB_VERIFY], dir, NULL));
    struct tl_schedule_state in;
    check_ok(tl_schedule_state_load(&in, dir, NULL)); /* it began anew */
    assert_int_equal(in.jobs[TL_JOB_VERIFY].runs, 9);
}

static void cuts_a_detail_between_characters(void **state)
{
    struct tl_schedule_state out = { 0 };
    struct tl_schedule_state in;
    char *detail = out.jobs[TL_JOB_PURGE].detail;
    memset(detail, 'a', TL_JOB_DETAIL_SIZE - 1);
    detail[TL_JOB_DETAIL_SIZE - 2] = '\xc3'; /* the first half of a letter */
    check_ok(tl_schedule_state_put(TL_JOB_PURGE, &out.jobs[TL_JOB_PURGE], *state, NULL));
    check_ok(tl_schedule_state_load(&in, *state, NULL));
    assert_int_equal(strlen(in.jobs[TL_JOB_PURGE].detail), TL_JOB_DETAIL_SIZE - 2);
}

static void leaves_other_jobs_as_they_are(void **state)
{
    struct tl_schedule_state in = example();
    check_ok(tl_schedule_state_put(TL_JOB_VERIFY, &in.jobs[TL_JOB_VERIFY], *state, NULL));
    const struct tl_job_state purge = { .runs = 2 };
    check_ok(tl_schedule_state_put(TL_JOB_PURGE, &purge, *state, NULL));
    check_ok(tl_schedule_state_load(&in, *state, NULL));
    assert_int_equal(in.jobs[TL_JOB_VERIFY].runs, 9);
    assert_int_equal(in.jobs[TL_JOB_PURGE].runs, 2);
}

static void names_its_jobs(void **state)
{
    (void)state;
    for (unsigned i = 0; i < TL_JOB_COUNT; i++) {
        assert_int_equal(tl_job_of(tl_job_name((enum tl_job)i)), i);
    }
    assert_int_equal(tl_job_of("sleep"), TL_JOB_COUNT);
}

static tally_status read_example(const void *ctx)
{
    static struct tl_schedule_state in;
    const struct tl_buf *text = ctx;
    return tl_schedule_state_read(&in, (struct tl_str){ .text = text->data, .len = text->len });
}

static void reports_that_there_is_no_memory(void **state)
{
    (void)state;
    struct tl_schedule_state out = example();
    struct tl_buf text;
    tl_buf_init(&text, 1 << 16);
    tl_schedule_state_write(&text, &out);
    assert_true(fault_each_alloc(read_example, &text) > 0);
    tl_buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keeps_what_was_written, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(takes_a_file_that_is_not_there_for_an_empty_one,
                                        check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(says_that_a_file_is_damaged, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(cuts_a_detail_between_characters, check_mkdir, check_rmdir),
        cmocka_unit_test_setup_teardown(leaves_other_jobs_as_they_are, check_mkdir, check_rmdir),
        cmocka_unit_test(names_its_jobs),
        cmocka_unit_test(reports_that_there_is_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
