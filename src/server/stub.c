#include "server/server_impl.h"
void tl_api_metrics(struct tl_request *request)
{
    tl_reply_problem(request, "not_supported", "later");
}
void tl_api_openapi(struct tl_request *request)
{
    tl_reply_problem(request, "not_supported", "later");
}
