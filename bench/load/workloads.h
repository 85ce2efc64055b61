/* One client's life for each workload; the table of them is in workloads.c. */
#ifndef PENFOLD_BENCH_WORKLOADS_H
#define PENFOLD_BENCH_WORKLOADS_H

#include "load.h"

void work_login(struct client *client);
void work_lmtp(struct client *client);
void work_append(struct client *client);
void work_fill(struct client *client);
void work_copy(struct client *client);
void work_count(struct client *client);
void work_fetch_flags(struct client *client);
void work_fetch_envelope(struct client *client);
void work_fetch_header(struct client *client);
void work_fetch_body(struct client *client);
void work_fetch_some(struct client *client);
void work_store(struct client *client);
void work_select(struct client *client);
void work_search(struct client *client);
void work_qresync(struct client *client);
void work_idle(struct client *client);
void work_hold(struct client *client);
void work_mix(struct client *client);
void work_pop3(struct client *client);
void work_pop3_login(struct client *client);
void work_tls(struct client *client);
void work_echo(struct client *client);

#endif
