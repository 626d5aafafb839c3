/* The interface for programs: OpenAPI 3.1, made from the routes and the parts of openapi.json. */
#include "server/openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "server/server_impl.h"

#define NAME_SIZE 128u

/* What a document is made from. */
struct parts {
    struct tl_str text;
    const struct tl_json *root;
    struct tl_js *js;
};

/* A value as it stands in openapi.json. */
static void add_part(const struct parts *parts, const char *key, const struct tl_json *value)
{
    tl_js_raw(parts->js, key,
              (struct tl_str){ parts->text.text + value->offset, value->end - value->offset });
}

static const struct tl_json *operation_of(const struct parts *parts, const struct tl_route *route)
{
    char name[NAME_SIZE];
    (void)snprintf(name, sizeof(name), "%s %s", route->method, route->path);
    return tl_json_member(tl_json_member(parts->root, "operations"), name);
}

/* "GET /v1/events/{id}": get_v1_events_id */
static void add_id(struct tl_js *js, const struct tl_route *route)
{
    char id[NAME_SIZE];
    int len = snprintf(id, sizeof(id), "%s%s", route->method, route->path);
    tl_assert(len > 0 && (size_t)len < sizeof(id));
    size_t end = 0;
    for (size_t i = 0; i < (size_t)len; i++) {
        if (isalnum((unsigned char)id[i]) != 0) {
            id[end++] = (char)tolower((unsigned char)id[i]);
        } else if (id[i] == '/' && id[i + 1] != '\0') {
            id[end++] = '_';
        }
    }
    tl_js_str(js, "operationId", (struct tl_str){ id, end });
}

static void add_path_parameters(struct tl_js *js, const char *path)
{
    for (const char *at = strchr(path, '{'); at != NULL; at = strchr(at + 1, '{')) {
        tl_js_open(js, NULL, '{');
        tl_js_str(js, "name", (struct tl_str){ at + 1, strcspn(at + 1, "}") });
        tl_js_text(js, "in", "path");
        tl_js_bool(js, "required", true);
        tl_js_raw(js, "schema", TL_STR("{\"type\":\"string\"}"));
        tl_js_close(js, '}');
    }
}

static void add_reference(struct tl_js *js, struct tl_str name)
{
    char reference[NAME_SIZE] = "#/components/parameters/";
    size_t len = strlen(reference);
    tl_str_copy(reference + len, sizeof(reference) - len, name);
    tl_js_open(js, NULL, '{');
    tl_js_text(js, "$ref", reference);
    tl_js_close(js, '}');
}

static bool is_own(const struct tl_json *own, struct tl_str name)
{
    const struct tl_json *item = own == NULL ? NULL : own->first;
    while (item != NULL && !tl_str_equal(tl_json_member(item, "name")->text, name)) {
        item = item->next;
    }
    return item != NULL;
}

static bool is_among(const struct tl_json *list, struct tl_str name)
{
    const struct tl_json *item = list == NULL ? NULL : list->first;
    while (item != NULL && !tl_str_equal(item->text, name)) {
        item = item->next;
    }
    return item != NULL;
}

/* Those of the path, those that the operation describes itself, those that the route names, and all
 * filters where it takes them, but for those that it does without. */
static void add_parameters(const struct parts *parts, const struct tl_route *route,
                           const struct tl_json *operation)
{
    const struct tl_json *own = tl_json_member(operation, "parameters");
    const struct tl_json *without = tl_json_member(operation, "without");
    tl_js_open(parts->js, "parameters", '[');
    add_path_parameters(parts->js, route->path);
    for (const struct tl_json *item = own == NULL ? NULL : own->first; item != NULL;
         item = item->next) {
        add_part(parts, NULL, item);
    }
    for (const char *at = strchr(route->params, ','); at != NULL && at[1] != '\0';
         at = strchr(at + 1, ',')) {
        struct tl_str name = { at + 1, strcspn(at + 1, ",") };
        if (!is_own(own, name)) {
            add_reference(parts->js, name);
        }
    }
    const struct tl_json *filters = tl_json_member(parts->root, "filters");
    for (const struct tl_json *item = route->params[0] == '*' ? filters->first : NULL; item != NULL;
         item = item->next) {
        if (!is_among(without, item->text)) {
            add_reference(parts->js, item->text);
        }
    }
    tl_js_close(parts->js, ']');
}

static void add_responses(const struct parts *parts, const struct tl_json *responses)
{
    tl_js_open(parts->js, "responses", '{');
    for (const struct tl_json *item = responses->first; item != NULL; item = item->next) {
        char status[16];
        tl_str_copy(status, sizeof(status), item->key);
        add_part(parts, status, item);
    }
    tl_js_raw(parts->js, "default", TL_STR("{\"$ref\":\"#/components/responses/Problem\"}"));
    tl_js_close(parts->js, '}');
}

static void add_access(struct tl_js *js, const struct tl_route *route)
{
    bool is_open = route->least == 0;
    tl_js_raw(js, "security", is_open ? TL_STR("[]") : TL_STR("[{\"token\":[]}]"));
    tl_js_text(js, "x-tally-role", is_open ? NULL : tl_role_name(route->least));
    tl_js_bool(js, "x-tally-whole", route->is_whole);
}

static void add_operation(const struct parts *parts, const struct tl_route *route)
{
    const struct tl_json *operation = operation_of(parts, route);
    char method[16];
    size_t len = strlen(route->method);
    tl_assert(operation != NULL && len < sizeof(method));
    for (size_t i = 0; i <= len; i++) {
        method[i] = (char)tolower((unsigned char)route->method[i]);
    }
    const struct tl_json *body = tl_json_member(operation, "requestBody");
    tl_js_open(parts->js, method, '{');
    add_id(parts->js, route);
    tl_js_text(parts->js, "summary", route->summary);
    add_access(parts->js, route);
    add_parameters(parts, route, operation);
    if (body != NULL) {
        add_part(parts, "requestBody", body);
    }
    add_responses(parts, tl_json_member(operation, "responses"));
    tl_js_close(parts->js, '}');
}

static bool is_first_of_path(size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(tl_routes[i].path, tl_routes[index].path) == 0) {
            return false;
        }
    }
    return true;
}

static void add_paths(const struct parts *parts)
{
    tl_js_open(parts->js, "paths", '{');
    for (size_t i = 0; i < tl_route_count; i++) {
        if (!is_first_of_path(i)) {
            continue;
        }
        tl_js_open(parts->js, tl_routes[i].path, '{');
        for (size_t j = i; j < tl_route_count; j++) {
            if (strcmp(tl_routes[i].path, tl_routes[j].path) == 0) {
                add_operation(parts, &tl_routes[j]);
            }
        }
        tl_js_close(parts->js, '}');
    }
    tl_js_close(parts->js, '}');
}

static void add_info(struct tl_js *js)
{
    tl_js_text(js, "openapi", "3.1.0");
    tl_js_open(js, "info", '{');
    tl_js_text(js, "title", "Tallystick");
    tl_js_text(js, "description", "An append-only, tamper-evident audit log: docs/http-api.md");
    tl_js_text(js, "version", tally_version());
    tl_js_close(js, '}');
}

void tl_api_openapi(struct tl_request *request)
{
    struct tl_js js;
    struct parts parts = { { (const char *)tl_openapi_parts, tl_openapi_parts_len }, NULL, &js };
    struct tally_error err = TALLY_ERROR_INIT;
    tally_status status = tl_json_read(&request->arena, parts.text.text, parts.text.len,
                                       &tl_json_limits_format, &parts.root, &err);
    if (status != TALLY_OK) {
        tl_reply_error(request, &err);
        return;
    }
    tl_reply_begin(request, 200, &js);
    tl_js_open(&js, NULL, '{');
    add_info(&js);
    add_paths(&parts);
    add_part(&parts, "components", tl_json_member(parts.root, "components"));
    tl_js_close(&js, '}');
    tl_reply_end(request, &js);
}
