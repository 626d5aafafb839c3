#include <inttypes.h>
#include <string.h>

#include "cli/cmd.h"
#include "cli/out.h"
#include "show/show.h"

#define SETTINGS_MAX 64u

static const struct tl_opt opts[] = {
    { "preset", 0, "NAME", "test, set: a named set of rules; 'tally retention show --presets'" },
    { "presets", 0, NULL, "show: the named sets of rules, and what they are based on" },
    { "by", 0, "WHO", "set: who is responsible" },
    { "reason", 0, "TEXT", "set: why; public for ever" },
    { 0 },
};

/* Settings from a preset and from arguments, in this order. Texts live in `names`. */
struct wanted {
    struct tally_setting settings[SETTINGS_MAX];
    char names[SETTINGS_MAX][320];
    size_t count;
};

static bool add_setting(struct wanted *wanted, const char *text, const char *origin)
{
    static const char prefix[] = "retention.";
    const char *equals = strchr(text, '=');
    size_t at = wanted->count;
    if (equals == NULL || equals == text || at == SETTINGS_MAX) {
        return false;
    }
    char *name = wanted->names[at];
    struct tl_buf buf;
    tl_buf_init_fixed(&buf, name, sizeof(wanted->names[at]) - 1);
    if (strncmp(text, prefix, sizeof(prefix) - 1) != 0) {
        tl_buf_add_text(&buf, prefix);
    }
    tl_buf_add(&buf, text, (size_t)(equals - text));
    if (tl_buf_status(&buf) != TALLY_OK) {
        return false;
    }
    name[buf.len] = '\0';
    wanted->settings[at] = (struct tally_setting){ name, equals + 1, origin };
    wanted->count++;
    return true;
}

static const struct tally_retention_preset *find_preset(const char *name)
{
    size_t count = 0;
    const struct tally_retention_preset *presets = tally_retention_presets(&count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(presets[i].name, name) == 0) {
            return &presets[i];
        }
    }
    return NULL;
}

static enum tl_exit read_wanted(const struct tl_cli *cli, const struct tl_args *args,
                                struct wanted *wanted)
{
    const char *name = tl_args_value(args, "preset");
    if (name != NULL) {
        const struct tally_retention_preset *preset = find_preset(name);
        if (preset == NULL) {
            return tl_cli_usage(cli, "there is no preset '%s': 'tally retention show --presets'",
                                name);
        }
        for (size_t i = 0; preset->settings[i] != NULL; i++) {
            tl_assert(add_setting(wanted, preset->settings[i], preset->name));
        }
    }
    for (size_t i = 1; i < args->rest_count; i++) {
        if (!add_setting(wanted, args->rest[i], "argument")) {
            return tl_cli_usage(cli, "'%s' is not of the form default_days=400", args->rest[i]);
        }
    }
    return wanted->count > 0
               ? TL_EXIT_OK
               : tl_cli_usage(cli,
                              "no rules were given: 'tally retention %s default_days=400', or "
                              "--preset NAME",
                              args->rest[0]);
}

static void print_days(char *out, size_t size, int32_t days)
{
    (void)snprintf(out, size, days > 0 ? "%d" : "forever", days);
}

struct listing {
    struct tl_table table;
    struct tl_js js;
};

static void release(struct listing *listing)
{
    tl_table_release(&listing->table);
    tl_js_release(&listing->js);
}

static void add_rule(void *ctx, const struct tally_retention_rule *rule)
{
    struct listing *listing = ctx;
    char days[24];
    print_days(days, sizeof(days), rule->days);
    tl_show_rule(&listing->js, NULL, rule);
    tl_table_text(&listing->table, rule->kind);
    tl_table_text(&listing->table, rule->match);
    tl_table_text(&listing->table, days);
    tl_table_text(&listing->table, rule->origin);
}

static bool is_json(const struct tl_cli *cli)
{
    return cli->view == TL_VIEW_JSON || cli->view == TL_VIEW_NDJSON;
}

static tally_status print_listing(const struct tl_cli *cli, struct listing *listing,
                                  struct tally_error *err)
{
    tl_js_close(&listing->js, ']');
    tl_js_close(&listing->js, '}');
    return is_json(cli) ? tl_js_print(&listing->js, stdout, err)
                        : tl_table_print(&listing->table, err);
}

static void add_preset(struct listing *listing, const struct tally_retention_preset *preset,
                       struct tl_buf *settings)
{
    tl_js_open(&listing->js, NULL, '{');
    tl_js_text(&listing->js, "name", preset->name);
    tl_js_text(&listing->js, "about", preset->about);
    tl_js_open(&listing->js, "settings", '[');
    tl_buf_clear(settings);
    for (size_t i = 0; preset->settings[i] != NULL; i++) {
        tl_js_text(&listing->js, NULL, preset->settings[i]);
        tl_buf_add_text(settings, i > 0 ? " " : "");
        tl_buf_add_text(settings, preset->settings[i]);
    }
    tl_js_close(&listing->js, ']');
    tl_js_close(&listing->js, '}');
    tl_table_text(&listing->table, preset->name);
    tl_table_cell(&listing->table, (struct tl_str){ .text = settings->data, .len = settings->len },
                  TL_STYLE_PLAIN);
    tl_table_text(&listing->table, preset->about);
}

static enum tl_exit show_presets(const struct tl_cli *cli)
{
    static const struct tl_column columns[] = { { "preset", false },
                                                { "settings", false },
                                                { "about", false } };
    TL_CLEANUP(release) struct listing listing = { 0 };
    tl_table_init(&listing.table, cli, columns, 3);
    listing.table.whole = true;
    tl_js_init(&listing.js);
    tl_js_open(&listing.js, NULL, '{');
    tl_js_text(&listing.js, "note",
               "Starting points: no program is compliant by itself, and rules change. Read the "
               "originals, and ask who has to answer for it.");
    tl_js_open(&listing.js, "presets", '[');
    size_t count = 0;
    const struct tally_retention_preset *presets = tally_retention_presets(&count);
    TL_CLEANUP(tl_buf_release) struct tl_buf settings = { 0 };
    tl_buf_init(&settings, 4096);
    for (size_t i = 0; i < count; i++) {
        add_preset(&listing, &presets[i], &settings);
    }
    struct tally_error err = TALLY_ERROR_INIT;
    tl_cli_note(cli, "starting points: no program is compliant by itself; read the originals");
    return print_listing(cli, &listing, &err) == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static enum tl_exit show(struct tl_cli *cli, const struct tl_args *args)
{
    static const struct tl_column columns[] = {
        { "kind", false }, { "match", false }, { "days", true }, { "origin", false }
    };
    if (tl_args_has(args, "presets")) {
        return show_presets(cli);
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    TL_CLEANUP(release) struct listing listing = { 0 };
    tl_table_init(&listing.table, cli, columns, 4);
    tl_js_init(&listing.js);
    tl_js_open(&listing.js, NULL, '{');
    tl_js_open(&listing.js, "rules", '[');
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tally_retention_list(ledger, add_rule, &listing, &err);
    status = status != TALLY_OK ? status : print_listing(cli, &listing, &err);
    return status == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

/* What the rules would do, for people. */
static void print_effect(const struct tally_retention_effect *effect)
{
    printf("%" PRIu64 " records have contents\n", effect->records);
    printf("%" PRIu64
           " would be kept for longer than was sealed: at once, nothing else is needed\n",
           effect->longer);
    printf("%" PRIu64 " are sealed for longer than these rules ask: they stay until then, unless "
           "they are purged early, which a second person must sign ('tally purge --help')\n",
           effect->shorter);
    printf("%" PRIu64 " would be due today\n", effect->due_now);
    printf("%" PRIu64 " more within 30 days\n", effect->due_30);
    printf("%" PRIu64 " are on hold, and stay in any case\n", effect->held);
}

static enum tl_exit test(struct tl_cli *cli, const struct wanted *wanted)
{
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, false, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_retention_effect effect = { 0 };
    tally_status status =
        tally_retention_test(ledger, wanted->settings, wanted->count, &effect, &err);
    if (status != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    if (!is_json(cli)) {
        print_effect(&effect);
        return TL_EXIT_OK;
    }
    TL_CLEANUP(tl_js_release) struct tl_js js = { 0 };
    tl_js_init(&js);
    tl_show_effect(&js, NULL, &effect);
    return tl_js_print(&js, stdout, &err) == TALLY_OK ? TL_EXIT_OK : tl_cli_fail(cli, &err);
}

static enum tl_exit set(struct tl_cli *cli, const struct tl_args *args, const struct wanted *wanted)
{
    const struct tally_actor actor = { .by = tl_args_value(args, "by"),
                                       .reason = tl_args_value(args, "reason") };
    if (actor.by == NULL) {
        return tl_cli_usage(cli, "say who sets it: --by WHO");
    }
    TL_CLEANUP(tl_ledger_closep) struct tally_ledger *ledger = NULL;
    enum tl_exit exit_status = tl_cli_open(cli, true, &ledger);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    struct tally_error err = TALLY_ERROR_INIT;
    if (tally_retention_set(ledger, wanted->settings, wanted->count, &actor, &err) != TALLY_OK) {
        return tl_cli_fail(cli, &err);
    }
    if (is_json(cli)) {
        printf("{\"ok\":true}\n");
    } else {
        printf("the rules are set: records made from now on follow them, and older ones are kept "
               "for longer where they say so\n");
    }
    return TL_EXIT_OK;
}

static enum tl_exit run(struct tl_cli *cli, const struct tl_args *args)
{
    static struct wanted wanted; /* large */
    const char *verb = args->rest[0];
    if (strcmp(verb, "show") == 0) {
        return args->rest_count == 1 ? show(cli, args)
                                     : tl_cli_usage(cli, "'tally retention show' takes no rules");
    }
    if (strcmp(verb, "test") != 0 && strcmp(verb, "set") != 0) {
        return tl_cli_usage(cli, "'tally retention' takes show, test or set");
    }
    enum tl_exit exit_status = read_wanted(cli, args, &wanted);
    if (exit_status != TL_EXIT_OK) {
        return exit_status;
    }
    return strcmp(verb, "test") == 0 ? test(cli, &wanted) : set(cli, args, &wanted);
}

const struct tl_cmd tl_cmd_retention = {
    .name = "retention",
    .summary = "show, try out or set how long contents are kept",
    .arguments = "show|test|set [RULE=DAYS...]",
    .about =
        "A rule is default_days, by_action.PATTERN, by_severity.WORD, by_source.SERVICE,\n"
        "by_tenant.TENANT or by_outcome.WORD; days are a number, or 'forever'. The first of\n"
        "action, severity, source, tenant and outcome that has a rule decides. 'test' tells what\n"
        "rules would do to the records that are there, and changes nothing.\n",
    .examples = "tally retention show\n"
                "tally retention show --presets\n"
                "tally retention test --preset pci-dss by_action.user.*=1095\n"
                "tally retention set default_days=400 --by alice --reason 'audit of 2027'\n",
    .opts = opts,
    .rest_min = 1,
    .rest_max = SETTINGS_MAX,
    .run = run,
};
