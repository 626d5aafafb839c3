/* server/http_head.h - what stands before the body: whether it is clear, its id and parameters. */
#ifndef TL_SERVER_HTTP_HEAD_H
#define TL_SERVER_HTTP_HEAD_H

#include <microhttpd.h>

#include "server/request.h"

/* False, with a problem as reply, if it can be understood in more than one way. The texts are those that
 * the handler of libmicrohttpd was called with. */
bool tl_head_is_framed(struct tl_request *request, struct MHD_Connection *connection,
                       const char *path, const char *method, const char *version);

/* The request's id: what was given, if that is one, or else one that is made. */
void tl_head_name(struct tl_request *request, const char *given, unsigned long long number);

/* Fills in the parameters; a problem is the reply if that cannot be done. */
void tl_head_params(struct tl_request *request, struct MHD_Connection *connection);

#endif /* TL_SERVER_HTTP_HEAD_H */
