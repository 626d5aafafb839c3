#include <unistd.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/random.h"
#include "cli/cmd.h"
#include "cli/out.h"

static const struct tl_opt opts[] = {
    { "work-dir", 0, "DIR",
      "a directory that does not exist yet, for the copies; beside the ledger" },
    { 0 },
};

struct drill {
    struct tl_table table;
    struct tl_js js;
    struct tl_js skipped_js; /* attacks for which the ledger lacks what they need */
    uint64_t attacks;
    uint64_t skipped;
};

static void add_verdict(struct tl_table *table, const struct tally_drill_row *row)
{
    if (row->skipped != NULL) {
        tl_table_cell(table, tl_str_of("skipped"), TL_STYLE_DIM);
    } else if (row->found) {
        tl_table_cell(table, tl_str_of("found"), TL_STYLE_GOOD);
    } else {
        tl_table_cell(table, tl_str_of("MISSED"), TL_STYLE_BAD);
    }
}

static void add_json(struct drill *drill, const struct tally_drill_row *row)
{
    bool skipped = row->skipped != NULL;
    struct tl_js *js = skipped ? &drill->skipped_js : &drill->js;
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "attack", row->attack);
    if (skipped) {
        tl_js_text(js, "why", row->skipped);
    } else {
        tl_js_bool(js, "found", row->found != 0);
        tl_js_text(js, "codes", row->codes);
        tl_js_text(js, "expected", row->expected);
        tl_js_text(js, "told_by", row->told_by);
    }
    tl_js_close(js, '}');
}

static int add_row(void *ctx, const struct tally_drill_row *row)
{
    struct drill *drill = ctx;
    drill->attacks += row->skipped == NULL;
    drill->skipped += row->skipped != NULL;
    add_json(drill, row);
    tl_table_text(&drill->table, row->attack);
    add_verdict(&drill->table, row);
    tl_table_text(&drill->table, row->skipped == NULL ? row->told_by : row->skipped);
    tl_table_text(&drill->table, row->codes);
    return tl_stopped() ? 1 : 0;
}

static void release(struct drill *drill)
{
    tl_table_release(&drill->table);
    tl_js_release(&drill->js);
    tl_js_release(&drill->skipped_js);
}

/* A directory beside the ledger that nobody has, on the same disk. */
static char *make_work_dir(const struct tl_cli *cli)
{
    uint8_t bytes[6];
    char hex[13];
    tl_random_bytes(bytes, sizeof(bytes));
    tl_hex_encode(hex, bytes, sizeof(bytes));
    TL_CLEANUP(tl_buf_release) struct tl_buf path = { 0 };
    tl_buf_init(&path, 65536);
    tl_buf_add_text(&path, cli->ledger);
    while (path.len > 1 && path.data[path.len - 1] == '/') {
        path.len--;
    }
    tl_buf_addf(&path, ".drill-%s", hex);
    return tl_buf_take(&path, NULL);
}

static tally_status print(const struct tl_cli *cli, struct drill *drill, uint64_t missed,
                          struct tally_error *err)
{
    if (cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON) {
        tl_js_close(&drill->js, ']');
        tl_js_u64(&drill->js, "count", drill->attacks);
        tl_js_u64(&drill->js, "missed", missed);
        tl_js_close(&drill->skipped_js, ']');
        tl_js_raw(&drill->js, "skipped", tl_buf_str(&drill->skipped_js.buf));
        tl_js_close(&drill->js, '}');
        return tl_js_print(&drill->js, stdout, err);
    }
    TL_TRY(tl_table_print(&drill->table, err));
    tl_cli_note(cli, "%llu attacks on a copy, %llu of them missed; %llu skipped",
                (unsigned long long)drill->attacks, (unsigned long long)missed,
                (unsigned long long)drill->skipped);
    return TALLY_OK;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    static const struct tl_column columns[] = {
        { "attack", false }, { "found", false }, { "told by", false }, { "codes", false }
    };
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_options options = tl_cli_options(cli);
    TL_CLEANUP(tl_freep) char *beside = make_work_dir(cli);
    const char *work_dir = tl_args_value(args, "work-dir");
    work_dir = work_dir == NULL ? beside : work_dir;
    if (work_dir == NULL) {
        (void)tl_fail(&err, TALLY_ENOMEM, "out of memory"); /* told below */
        return tl_cli_fail(cli, &err);
    }
    TL_CLEANUP(release) struct drill drill = { .attacks = 0 };
    tl_table_init(&drill.table, cli, columns, TL_ARRAY_LEN(columns));
    drill.table.whole = true;
    tl_js_init(&drill.js);
    tl_js_open(&drill.js, NULL, '{');
    tl_js_open(&drill.js, "attacks", '[');
    tl_js_init(&drill.skipped_js);
    tl_js_open(&drill.skipped_js, NULL, '[');
    uint64_t missed = 0;
    tl_stop_install(); /* copies of keys must not stay behind */
    if (tally_drill(&options, work_dir, add_row, &drill, &missed, &err) != TALLY_OK ||
        print(cli, &drill, missed, &err) != TALLY_OK) {
        return tl_cli_fail_ledger(cli, &err);
    }
    if (drill.attacks == 0) {
        tl_cli_warn(cli, "no attack was made: the ledger holds too little");
        return TL_EXIT_UNKNOWN;
    }
    return missed == 0 ? TL_EXIT_OK : TL_EXIT_NO;
}

const struct tl_cmd tl_cmd_drill = {
    .name = "drill",
    .summary = "tamper with a copy in every known way, and see it found",
    .arguments = "",
    .about =
        "The ledger itself is only read, and may be in use. Its copies, keys included, lie in the "
        "work\n"
        "directory and are removed afterwards; they need three times the room of the ledger.\n",
    .examples = "tally drill\n",
    .opts = opts,
    .run = run,
};
